from __future__ import annotations

import copy
import math
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.schemas import RawSample
from src.data.text import fingerprint, split_sentences
from src.profiles import PROFILES
from src.raft.answers import ABSTENTION, QUOTE_BEGIN, QUOTE_END, format_answer, strip_answer_form
from src.raft.conversion import convert_to_raft, with_reasoning
from src.raft.evidence import holds_answer
from src.raft.prompt import (
    INSTRUCTION,
    context_tokens,
    count_tokens,
    documents_block,
    render_chat,
    to_messages,
)
from src.training.labels import tokenize_records

COLOURS = ["하양", "검정", "초록", "보라", "노랑"]


def make_samples(count: int = 60) -> list[RawSample]:
    """Three questions a product; wattages repeat over products, so that distractors would leak them."""
    samples = []
    for i in range(count):
        product = i // 3
        watts, colour, litres = 300 + product % 4, COLOURS[product % 5], 2 + product % 7
        context = f"제품 DH-{product:03d} 안내입니다. 소비 전력은 {watts}W입니다. 색상은 {colour}입니다. 용량은 {litres}L입니다."
        subject, answer = [("소비 전력", f"{watts}W"), ("색상", colour), ("용량", f"{litres}L")][i % 3]
        samples.append(
            RawSample(
                id=f"s{i}",
                group_id=f"DH-{product:03d}",
                question=f"DH-{product:03d}의 {subject}은 무엇인가요?",
                context=context,
                answer=f"{answer}입니다.",
                topic=subject,
                source="made.csv",
            )
        )
    return samples


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    texts = [sample.context for sample in make_samples()] + [INSTRUCTION, ABSTENTION]
    bpe.train_from_iterator(texts, vocab_size=500, show_progress=False)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer)
    fast.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    return fast


def convert(samples, tokenizer, **changes):
    settings = {"num_distractors": 3, "golden_probability": 0.8, "max_context_tokens": 2000, "seed": 7}
    return convert_to_raft(samples, tokenizer=tokenizer, **(settings | changes))


# --- convert_to_raft -------------------------------------------------------------------------------------------


def test_records_keep_what_they_promise(tokenizer):
    samples = make_samples()
    stats: Counter[str] = Counter()
    records, rejects = convert(samples, tokenizer, stats=stats)
    assert [record.id for record in records] == [sample.id for sample in samples] and not rejects
    assert sum(record.answerable for record in records) == round(len(samples) * 0.8)
    own_documents = {sample.context for sample in samples}
    for record, sample in zip(records, samples, strict=True):
        assert len(record.context) == len(set(record.context)) == 4
        assert set(record.context) <= own_documents
        others = [text for i, text in enumerate(record.context) if i != record.golden_index]
        assert sample.context not in others
        assert not any(holds_answer(text, sample.answer) for text in others)
        if record.answerable:
            assert record.context[record.golden_index] == sample.context
            assert record.answer == f"문맥에 따르면 {sample.answer}"
        else:
            assert (record.answer, record.golden_index, record.cot) == (ABSTENTION, None, None)
        assert record.n_tokens == count_tokens(record, tokenizer)
        assert (record.topic, record.source) == (sample.topic, "made.csv")
    assert stats["examined"] - stats["holds_answer"] == 4 * len(samples)
    assert stats["holds_answer"] > 0
    # Two of three are hard, and so is what stands in for a golden document: 60 records, 12 of them without it.
    assert (stats["hard"], stats["random"]) == (2 * 60 + 12, 60)
    assert stats["hard"] + stats["random"] == sum(len(r.context) - r.answerable for r in records)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.55, 1.0])
def test_exact_share_of_hard_distractors(tokenizer_once, share):
    samples = make_samples()
    stats: Counter[str] = Counter()
    records, _ = convert(
        samples, tokenizer_once, hard_share=share, num_distractors=4, golden_probability=1.0, stats=stats
    )
    assert len(records) == len(samples)
    hard = {0.0: 0, 0.25: 1, 0.5: 2, 0.55: 3, 1.0: 4}[share]
    assert (stats["hard"], stats["random"]) == (hard * len(samples), (4 - hard) * len(samples))


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (2, 0.5), (2, 1.0), (3, 0.5), (4, 0.25), (4, 0.0)])
def test_unrelated_documents_do_not_tell_that_there_is_no_answer(tokenizer_once, count, share):
    """A record without its golden document once held one more random document: counting replaced reading."""
    samples = make_samples()
    stats: Counter[str] = Counter()
    settings = {"num_distractors": count, "hard_share": share, "golden_probability": 0.8}
    records, rejects = convert(samples, tokenizer_once, stats=stats, **settings)
    left_out = sum(not record.answerable for record in records)
    assert not rejects and left_out == 12
    hard = math.ceil(count * share)
    assert stats["random"] == (count - hard) * len(records)  # as many in every record
    assert stats["hard"] == hard * len(records) + left_out
    assert {len(record.context) for record in records} == {count + 1}


def test_records_of_one_count_are_what_they_were_before_there_were_ranges(tokenizer):
    """Drawing a count must take nothing from the random numbers of a record that has none to draw."""
    settings = {"num_distractors": 3, "hard_share": 0.5, "add_cot": True}
    records, _ = convert(make_samples(), tokenizer, **settings)
    assert fingerprint([record.model_dump() for record in records])[:16] == "e81e652c3b5eb842"
    assert convert(make_samples(), tokenizer, **settings | {"num_distractors": (3, 3)})[0] == records


@settings(max_examples=15)
@given(
    low=st.integers(0, 4),
    more=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    probability=st.sampled_from([0.5, 0.8, 1.0]),
    limit=st.sampled_from([60, 150, 2000]),
    seed=st.integers(0, 99),
)
def test_a_range_gives_each_record_its_own_count(tokenizer_once, low, more, share, probability, limit, seed):
    samples, high = make_samples(), low + more
    stats: Counter[str] = Counter()
    change = {"golden_probability": probability, "max_context_tokens": limit, "seed": seed}
    change |= {"num_distractors": (low, high), "hard_share": share}
    records, rejects = convert(samples, tokenizer_once, stats=stats, **change)
    assert len(records) + len(rejects) == len(samples)
    assert sum(record.answerable for record in records) == round(len(records) * probability)
    assert (records, rejects) == convert(samples, tokenizer_once, **change)
    counts = Counter(len(record.context) - 1 for record in records)
    assert max(counts, default=0) <= high
    assert all(context_tokens(record, tokenizer_once) <= limit for record in records)
    if not stats["dropped_distractors"] and not rejects:
        assert set(counts) == set(range(low, high + 1))  # sixty draws of at most five
        # Neither the count nor unrelated documents tell that there is no answer.
        assert stats["hard"] == sum(n * math.ceil(k * share) for k, n in counts.items()) + sum(
            not record.answerable for record in records
        )


@pytest.mark.parametrize(
    ("count", "one", "more"), [(2, "2", "3"), ((1, 4), "1~4", "2~5"), ((3, 3), "3", "4")]
)
def test_a_count_or_range_is_told_as_a_learner_reads_it(count, one, more):
    profile = replace(PROFILES["tiny"], num_distractors=count)
    assert (profile.distractors_text(), profile.distractors_text(1)) == (one, more)


def test_random_distractors_fill_up_where_hard_ones_run_out(tokenizer_once):
    """Every similar document holds the answer: all that is left is drawn at random."""
    filler = "필터는 미지근한 물로 헹구고 그늘에서 말립니다."
    samples = [
        RawSample(
            id=f"s{i}",
            group_id=f"g{i}",
            question="제습기의 소비 전력은 얼마인가요?",
            context=f"제습기의 소비 전력은 310W입니다. 번호는 {i}입니다."
            if i < 40
            else f"{filler} 기록 {i * i}.",
            answer="310W",
        )
        for i in range(50)
    ]
    stats: Counter[str] = Counter()
    records, rejects = convert(samples, tokenizer_once, hard_share=1.0, golden_probability=1.0, stats=stats)
    assert len(records) == 50 and not rejects
    assert stats["random"] >= 3 * 40
    for record in records[:40]:
        assert sum("310W" in text for text in record.context) == 1


def test_left_out_answer_memorized(tokenizer):
    """The paper's way: the answer stays although its document is gone; a quote would be invented."""
    samples = make_samples()
    kept, _ = convert(samples, tokenizer, add_cot=True)
    memorized, _ = convert(samples, tokenizer, add_cot=True, left_out_answer="memorize")
    assert any(not record.answerable for record in kept)
    for sample, one, other in zip(samples, kept, memorized, strict=True):
        if one.answerable:
            assert one == other
        else:
            assert other.answer == format_answer(sample.answer) and one.answer == ABSTENTION
            assert (other.answerable, other.golden_index, other.cot) == (False, None, None)
            assert other.context == one.context and sample.context not in other.context
            assert other.n_tokens == count_tokens(other, tokenizer)


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 3))
def test_exact_share_of_golden_documents(tokenizer_once, count, probability, seed):
    samples = make_samples(60)[:count]
    records, rejects = convert(
        samples, tokenizer_once, golden_probability=probability, num_distractors=1, seed=seed
    )
    assert len(records) + len(rejects) == count
    assert sum(record.answerable for record in records) == round(len(records) * probability)


@pytest.fixture(scope="module")
def tokenizer_once():
    """Counts characters: fast, and the plain way for tokenizers without a chat template."""

    class Characters:
        def encode(self, text, add_special_tokens):
            return list(text)

    return Characters()


def test_golden_position_is_spread(tokenizer_once):
    records, _ = convert(make_samples(300), tokenizer_once, golden_probability=1.0)
    places = Counter(record.golden_index for record in records)
    assert set(places) == {0, 1, 2, 3}
    assert all(50 <= count <= 100 for count in places.values())  # 75 expected, standard deviation 7.5


def test_same_seed_same_records(tokenizer):
    samples = make_samples()
    assert convert(samples, tokenizer) == convert(samples, tokenizer)
    assert convert(samples, tokenizer)[0] != convert(samples, tokenizer, seed=8)[0]


def test_same_product_comes_as_hard_negative(tokenizer):
    samples = make_samples()
    for number in range(0, len(samples), 3):
        manual = f"제품 DH-{number // 3:03d} 관리 설명서입니다. 필터는 미지근한 물로 헹굽니다."
        samples.append(
            samples[number].model_copy(
                update={"id": f"m{number}", "context": manual, "answer": "물로 헹굽니다."}
            )
        )
    records, _ = convert(samples[:60] + samples[60:], tokenizer)
    with_sibling = sum(
        any(r.group_id in text for i, text in enumerate(r.context) if i != r.golden_index)
        for r in records[:60]
    )
    assert with_sibling >= 55


def test_near_copies_of_the_golden_document_stay_out(tokenizer):
    text = "긴 안내문입니다. " + " ".join(
        f"{i}번 항목은 서로 다른 내용을 자세히 설명합니다." for i in range(30)
    )
    twin = text.replace("긴 안내문", "긴 설명문")
    samples = make_samples()
    samples.append(samples[0].model_copy(update={"id": "long", "context": text, "answer": "없는 답"}))
    samples.append(samples[0].model_copy(update={"id": "twin", "context": twin, "answer": "없는 답"}))
    records, _ = convert(samples, tokenizer, num_distractors=12)
    by_id = {record.id: record for record in records}
    assert twin not in by_id["long"].context and text not in by_id["twin"].context


def test_context_limit_drops_distractors_before_evidence(tokenizer):
    samples = make_samples()
    one = max(len(tokenizer.encode(documents_block([s.context]))) for s in samples)
    for limit in (one * 2 + 5, one, one // 2):
        stats: Counter[str] = Counter()
        records, rejects = convert(
            samples, tokenizer, max_context_tokens=limit, stats=stats, golden_probability=1
        )
        assert len(records) + len(rejects) == len(samples)
        by_id = {sample.id: sample for sample in samples}
        for record in records:
            assert context_tokens(record, tokenizer) <= limit
            golden = record.context[record.golden_index]
            assert holds_answer(golden, by_id[record.id].answer)
            assert golden in by_id[record.id].context
        if limit > one // 2:
            assert len(records) == len(samples) and stats["dropped_distractors"] > 0


def test_long_document_is_trimmed_around_its_evidence(tokenizer_once):
    filler = " ".join(f"관계없는 문장 {i}입니다." for i in range(20))
    context = f"{filler} 소비 전력은 310W입니다. {filler}"
    samples = make_samples()
    samples[0] = samples[0].model_copy(update={"context": context, "answer": "310W"})
    samples[1] = samples[1].model_copy(update={"context": context, "answer": "찾을 데 없는 답"})
    stats: Counter[str] = Counter()
    records, rejects = convert(
        samples,
        tokenizer_once,
        max_context_tokens=120,
        golden_probability=1,
        num_distractors=0,
        stats=stats,
        add_cot=True,
    )
    golden = records[0].context[0]
    assert golden in context and "소비 전력은 310W입니다." in split_sentences(golden)
    assert stats["trimmed_golden"] == 1
    assert [(reject.row["id"], reject.field) for reject in rejects] == [("s1", "context")]


def test_reasoning_quotes_word_for_word(tokenizer):
    records, _ = convert(make_samples(), tokenizer, add_cot=True)
    for record in records:
        if not record.answerable:
            assert record.cot is None
            continue
        quote = record.cot.split(QUOTE_BEGIN)[1].split(QUOTE_END)[0]
        assert quote in record.context[record.golden_index]
        assert f"[문서 {record.golden_index + 1}]" in record.cot
        assert strip_answer_form(to_messages(record)[-1]["content"]) == strip_answer_form(record.answer)


def test_too_few_documents_are_refused_with_a_remedy(tokenizer):
    records, rejects = convert(make_samples(6), tokenizer)
    assert not records and len(rejects) == 6
    assert "num_distractors" in rejects[0].reason
    assert convert([], tokenizer) == ([], [])
    for change in (
        {"golden_probability": 1.2},
        {"golden_probability": float("nan")},
        {"hard_share": -0.1},
        {"num_distractors": -1},
        {"num_distractors": (-1, 2)},
        {"num_distractors": (3, 1)},
        {"left_out_answer": "guess"},
    ):
        with pytest.raises(ValueError, match="정해 주세요"):
            convert(make_samples(6), tokenizer, **change)


def test_the_limit_is_of_what_the_template_makes_of_the_documents():
    """A template may write more, or less, than it is given."""

    class Doubling:
        chat_template = "each message twice"

        def apply_chat_template(self, messages, **options):
            return "".join(2 * f"<{m['role']}>{m['content'].strip()}" for m in messages)

        def encode(self, text, add_special_tokens):
            return list(text)

    samples = make_samples()
    one = max(len(documents_block([s.context])) for s in samples) + 1  # and the line break after it
    for limit, trimmed in ((2 * one, False), (2 * one - 12, True)):
        stats: Counter[str] = Counter()
        records, _ = convert(samples, Doubling(), max_context_tokens=limit, golden_probability=1, stats=stats)
        assert len(records) == len(samples) and bool(stats["trimmed_golden"]) == trimmed
        assert all(context_tokens(record, Doubling()) <= limit for record in records)


def test_no_more_distractors_are_dropped_than_needed(tokenizer):
    samples = make_samples()
    limit = 3 * max(len(tokenizer.encode(documents_block([s.context]))) for s in samples)
    short, _ = convert(samples, tokenizer, max_context_tokens=limit, golden_probability=1)
    full, _ = convert(samples, tokenizer, golden_probability=1)
    for one, other in zip(short, full, strict=True):
        assert set(one.context) < set(other.context)
        for missing in set(other.context) - set(one.context):  # all are about as long as one another
            more = one.model_copy(update={"context": [*one.context, missing], "golden_index": None})
            assert context_tokens(more, tokenizer) > limit


def test_a_trimmed_golden_document_does_not_come_back_whole_or_in_pieces(tokenizer_once):
    """Neither the document it was cut from, nor a copy of it, nor another that quotes the very sentence."""
    filler = [f"관계없는 이야기 {i}번을 길게 적어 둔 문장입니다." for i in range(12)]
    evidence = "방은 모두 2칸이다."  # "2" is too short for the answer rule to see it in "2칸"
    context = " ".join([*filler[:6], evidence, *filler[6:]])
    samples = make_samples()
    golden = samples[0].model_copy(
        update={
            "id": "cut",
            "context": context,
            "answer": "2",
            "answer_start": context.index("2칸"),
            "question": evidence,
        }
    )
    quoting = samples[1].model_copy(
        update={"id": "quote", "context": f"옛 글에 이르기를 {evidence}", "answer": "옛 글"}
    )
    spaced = samples[2].model_copy(
        update={"id": "copy", "context": context.replace(" ", "  "), "answer": "모두"}
    )
    for seed in range(5):
        records, _ = convert(
            [golden, quoting, spaced, *samples[3:]],
            tokenizer_once,
            seed=seed,
            max_context_tokens=180,
            add_cot=True,
        )
        record = next(record for record in records if record.id == "cut")
        shown = [text for i, text in enumerate(record.context) if i != record.golden_index]
        assert not any(evidence in " ".join(text.split()) for text in shown)
        if record.answerable:
            piece = record.context[record.golden_index]
            assert piece != context and piece in context and evidence in piece
            assert f"{QUOTE_BEGIN}{evidence}" in record.cot


def test_what_cannot_fit_says_why(tokenizer_once):
    samples = make_samples()
    endless = "그리고 " * 200 + "소비 전력은 310W입니다."
    samples[0] = samples[0].model_copy(update={"context": endless, "answer": "310W"})
    samples[1] = samples[1].model_copy(update={"context": "다른 문장입니다. " * 60, "answer": "없는 답"})
    samples[2] = samples[2].model_copy(update={"answer": "입니다."})
    _, rejects = convert(samples, tokenizer_once, max_context_tokens=200)
    reasons = {reject.row["id"]: (reject.field, reject.reason) for reject in rejects}
    assert set(reasons) == {"s0", "s1", "s2"}
    assert "근거 문장을 남기고는" in reasons["s0"][1] and "그대로 나오지 않아" in reasons["s1"][1]
    assert reasons["s2"][0] == "answer"


def test_documents_are_dropped_by_order_not_by_length(tokenizer_once):
    """Dropping the longest would leave the golden document as the longest one shown, and so tell it apart."""
    rng = random.Random(5)
    samples = []
    for i in range(400):
        words = " ".join(
            f"{rng.choice('가나다라마바사아')}{rng.randrange(10**6)}" for _ in range(rng.randint(3, 30))
        )
        samples.append(
            RawSample(
                id=f"s{i}",
                group_id=f"g{i}",
                question="값은 무엇인가요?",
                context=f"{words} 값은 갑{i}을입니다.",
                answer=f"갑{i}을",
            )
        )
    records, _ = convert(samples, tokenizer_once, max_context_tokens=300, golden_probability=1, hard_share=0)
    pairs = [r for r in records if len(r.context) == 2]
    longest = sum(len(r.context[r.golden_index]) > len(r.context[1 - r.golden_index]) for r in pairs)
    assert len(pairs) > 80 and abs(longest / len(pairs) - 0.5) < 3 * 0.5 / len(pairs) ** 0.5


# --- The prompt ------------------------------------------------------------------------------------------------


def test_to_messages_is_the_prompt(tokenizer):
    record = {
        "instruction": "지시", "context": ["가", "나"], "question": "무엇?", "answer": "답.", "cot": None,
    }  # fmt: skip
    assert to_messages(record) == [
        {"role": "system", "content": "지시"},
        {"role": "user", "content": "[문서 1] 가\n[문서 2] 나\n[질문] 무엇?"},
        {"role": "assistant", "content": "답."},
    ]
    assert to_messages(record, with_answer=False) == to_messages(record)[:2]
    assert to_messages(record | {"context": []})[1]["content"] == "[질문] 무엇?"
    made = convert(make_samples(), tokenizer)[0][0]
    assert to_messages(made) == to_messages(made.model_dump())


def test_lengths_are_those_of_the_prompt_that_is_trained(tokenizer):
    """``n_tokens`` was once counted as if the model thought aloud, while training tells the template that it does not."""
    tokenizer = copy.deepcopy(tokenizer)
    thinks = "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
    tokenizer.chat_template = thinks + tokenizer.chat_template
    records, _ = convert(make_samples(), tokenizer)
    rows = tokenize_records(records, tokenizer, max_seq_length=10_000)
    assert [record.n_tokens for record in records] == [len(ids) for ids in rows["input_ids"]]
    asked = [
        render_chat(tokenizer, to_messages(r, with_answer=False), add_generation_prompt=True) for r in records
    ]
    assert not any("<think>" in prompt for prompt in asked)


def test_prompt_never_shows_where_the_golden_document_is(tokenizer):
    for record in convert(make_samples(), tokenizer)[0]:
        hidden = record.model_copy(
            update={"golden_index": None, "answerable": False, "n_tokens": 0, "seed": 0}
        )
        assert to_messages(hidden) == to_messages(record)


def test_import_stays_light():
    code = "import sys, src.data, src.raft, src.quality, src.qlora.registry; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reasoning_added_later_is_the_one_that_conversion_writes(tokenizer):
    reasoned, _ = convert(make_samples(), tokenizer, add_cot=True)
    plain, _ = convert(make_samples(), tokenizer)
    assert any(record.cot for record in reasoned) and not all(record.cot for record in reasoned)
    assert [with_reasoning(record).cot for record in plain] == [record.cot for record in reasoned]
