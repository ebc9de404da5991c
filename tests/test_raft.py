from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evidence import (
    ABSTENTION,
    QUOTE_BEGIN,
    QUOTE_END,
    answer_cores,
    find_core,
    find_evidence,
    format_answer,
    holds_answer,
    is_abstention,
    split_sentences,
    strip_answer_form,
)
from src.raft import INSTRUCTION, convert_to_raft, count_tokens, documents_block, to_messages
from src.schemas import RawSample

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


# --- The answer's form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "formatted"),
    [
        ("310W", "문맥에 따르면 310W입니다."),
        ("310W입니다.", "문맥에 따르면 310W입니다."),
        ("310W입니다", "문맥에 따르면 310W입니다."),
        ("캐나다", "문맥에 따르면 캐나다입니다."),  # ends in 다, yet is no sentence
        ("물로 헹굽니다. 하루 말립니다.", "문맥에 따르면 물로 헹굽니다. 하루 말립니다."),
        ("문맥에 따르면 310W입니다.", "문맥에 따르면 310W입니다."),
        (ABSTENTION, ABSTENTION),
    ],
)
def test_format_answer(answer, formatted):
    assert format_answer(answer) == formatted
    assert format_answer(formatted) == formatted
    assert answer_cores(formatted) == answer_cores(answer)


def test_strip_answer_form_drops_prefix_and_reasoning():
    reasoning = f"답은 [문서 1]에 있습니다. {QUOTE_BEGIN}전력은 310W입니다.{QUOTE_END}\n"
    assert strip_answer_form(reasoning + "문맥에 따르면 310W입니다.") == "310W입니다."
    assert strip_answer_form("설명서에 따르면 310W입니다.") == "설명서에 따르면 310W입니다."


@pytest.mark.parametrize("text", [ABSTENTION, "문맥에서 답을 찾을 수 없어요", "답을 알 수 없습니다."])
def test_is_abstention(text):
    assert is_abstention(text)


@pytest.mark.parametrize("text", ["310W입니다.", "앱에서 제품을 찾을 수 없습니다.", ""])
def test_is_not_abstention(text):
    assert not is_abstention(text)


# --- Where an answer stands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "core", "found"),
    [
        ("전력은 310 W입니다", "310W", True),  # white space aside
        ("전력은 1310W입니다", "310W", False),  # inside a longer number
        ("값은 1,310원", "310원", False),
        ("값은 3.5원", "3.5", True),
        ("값은 3.55원", "3.5", False),
        ("2024 310W", "310W", True),  # a number before it is not its beginning
        ("기간은 3일입니다", "3일", True),
        ("기간은 13일입니다", "3일", False),
        ("예약은 앱에서", "예", False),  # short: only as a word of its own
        ("답은 예입니다", "예", True),
    ],
)
def test_find_core(document, core, found):
    assert (find_core(document, core) is not None) == found


def test_any_sentence_of_the_answer_counts():
    assert holds_answer("그늘에서 하루 말립니다.", "물로 헹굽니다. 그늘에서 하루 말립니다.")
    assert not holds_answer("햇볕에서 말립니다.", "물로 헹굽니다. 그늘에서 하루 말립니다.")


def test_find_evidence_uses_answer_start():
    document = "서울은 크다. 서울의 인구는 많다. 부산도 크다."
    assert find_evidence(document, "서울") == [0]
    assert find_evidence(document, "서울", document.index("서울", 3)) == [1]
    assert find_evidence(document, "대구") == []


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
    assert stats["examined"] - stats["holds_answer"] == 4 * len(samples)
    assert stats["holds_answer"] > 0


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
            assert len(tokenizer.encode(documents_block(record.context))) <= limit
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
    with pytest.raises(ValueError, match="golden_probability"):
        convert(make_samples(6), tokenizer, golden_probability=1.2)


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
    made = convert(make_samples(), tokenizer)[0][0]
    assert to_messages(made) == to_messages(made.model_dump())


def test_prompt_never_shows_where_the_golden_document_is(tokenizer):
    for record in convert(make_samples(), tokenizer)[0]:
        hidden = record.model_copy(
            update={"golden_index": None, "answerable": False, "n_tokens": 0, "seed": 0}
        )
        assert to_messages(hidden) == to_messages(record)


def test_import_stays_light():
    code = "import sys, src.raft, src.preprocessing, src.quality; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
