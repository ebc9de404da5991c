"""A SQuAD-form file from reading to records: what KorQuAD goes through, on a file that this test writes itself."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict

import pytest

from src.data.reading import load_samples
from src.data.splitting import check_leakage, split_by_group
from src.data.text import document_key
from src.data.validation import validate_samples
from src.profiles import ROOT
from src.raft.answers import ABSTENTION, QUOTE_BEGIN, QUOTE_END
from src.raft.conversion import convert_to_raft
from src.raft.evidence import holds_answer
from src.raft.prompt import context_tokens, count_tokens

LIMIT = 1024
SETTINGS = {
    "num_distractors": 4,
    "golden_probability": 0.8,
    "max_context_tokens": LIMIT,
    "add_cot": True,
    "seed": 3,
}
PLACES = ["산", "강", "섬", "마을", "나루", "고개"]
STUFF = [
    "돌다리",
    "누각",
    "방앗간",
    "장터",
    "나루터",
    "서당",
    "향교",
    "봉수대",
    "우물",
    "느티나무",
    "성벽",
    "저수지",
]
QUOTE = re.compile(re.escape(QUOTE_BEGIN) + "(.*?)" + re.escape(QUOTE_END), re.DOTALL)


class Characters:
    """One token a character, and a chat template that trims its messages, as some models' templates do."""

    chat_template = "trims"

    def apply_chat_template(self, messages, **options):
        return "".join(f"<{m['role']}>{m['content'].strip()}" for m in messages)

    def encode(self, text, add_special_tokens):
        return list(text)


def _filler(rng: random.Random, name: str, count: int) -> str:
    return " ".join(
        f"{name}의 {rng.choice(STUFF)}에서 {rng.choice(STUFF)}까지 걷는 사람이 많다고 {rng.choice(STUFF)} 비문은 전한다."
        for _ in range(count)
    )


def _article(rng: random.Random, number: int) -> dict:
    """Five paragraphs: an answer that stands there twice, one under three characters, a value that other articles
    share, one deep in a paragraph beyond the budget, and one in a sentence that itself is beyond it."""
    syllables = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호"
    name = "".join(rng.sample(syllables, 3)) + PLACES[number % len(PLACES)]
    year, pupils, bell = rng.randint(1400, 1800), rng.randint(2, 9), f"{rng.choice(STUFF)} 종"
    paragraphs = []

    def add(context: str, *questions: tuple[str, str, int]) -> None:
        qas = [
            {
                "id": f"{number}-{len(paragraphs)}-{i}",
                "question": q,
                "answers": [{"text": a, "answer_start": start}],
            }
            for i, (q, a, start) in enumerate(questions)
        ]
        paragraphs.append({"context": context, "qas": qas})

    twice = (
        f"{name}은 {year}년 책에 처음 나온다. {_filler(rng, name, 3)} 큰비가 온 {year}년에는 둑이 무너졌다."
    )
    start = twice.rindex(f"{year}년")
    add(twice, (f"{name}의 둑은 언제 무너졌는가?", f"{year}년", start))
    short = f"{name}에는 서당이 있었다. 배우는 아이는 모두 {pupils}명이었다. {_filler(rng, name, 2)}"
    add(short, (f"{name} 서당의 아이는 몇이었는가?", f"{pupils}", short.index(f"{pupils}명")))
    shared = (
        f"{_filler(rng, name, 2)} 새벽마다 {bell}이 울렸다. {name}의 문은 {rng.choice(STUFF)} 곁에 있었다."
    )
    add(
        shared,
        (f"{name}에서 새벽마다 울린 것은?", bell, shared.index(bell)),
        (f"{name}의 새벽을 알린 소리는 무엇의 소리였는가?", bell, shared.index(bell)),
    )
    keeper = f"{rng.choice('김이박최정')}{''.join(rng.sample(syllables, 2))}"
    long = f"{_filler(rng, name, 22)} 둑을 다시 쌓은 이는 {keeper}이다. {_filler(rng, name, 22)}"
    add(long, (f"{name}의 둑을 다시 쌓은 사람은?", keeper, long.index(keeper)))
    if number % 9 == 0:
        endless = f"{name}에는 {', '.join(rng.choice(STUFF) + '와 그 터' for _ in range(150))}, 그리고 {keeper}의 비가 있다."
        add(endless, (f"{name}에 있는 비는 누구의 것인가?", keeper, endless.index(keeper)))
    return {"title": name, "paragraphs": paragraphs}


@pytest.fixture(scope="module")
def squad_file(tmp_path_factory):
    rng = random.Random(11)
    path = tmp_path_factory.mktemp("squad") / "written.json"
    articles = [_article(rng, number) for number in range(90)]
    path.write_text(json.dumps({"version": "1", "data": articles}, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["tiny", "characters"])
def tokenizer(request):
    if request.param == "characters":
        return Characters()
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ROOT / "data" / "tiny" / "base")


def _run(path, tokenizer):
    rows = load_samples(path)
    accepted, refused = validate_samples(rows)
    splits = split_by_group(accepted, validation_ratio=0.1, test_ratio=0.1, seed=3)
    check_leakage(splits)
    stats = {side: Counter() for side in splits}
    results = {
        side: convert_to_raft(samples, tokenizer=tokenizer, stats=stats[side], **SETTINGS)
        for side, samples in splits.items()
    }
    return rows, refused, splits, results, stats


@pytest.fixture(scope="module")
def run(squad_file, tokenizer):
    return _run(squad_file, tokenizer)


def _pairs(run):
    """(sample, record, its split's samples) of every record."""
    _, _, splits, results, _ = run
    for side, (records, _) in results.items():
        by_id = {sample.id: sample for sample in splits[side]}
        for record in records:
            yield by_id[record.id], record, splits[side]


def test_every_row_is_accounted_for(run):
    rows, refused, splits, results, _ = run
    assert len(rows) == 90 * 5 + 10 and not refused
    for side, (records, rejects) in results.items():
        done = [record.id for record in records] + [reject.row["id"] for reject in rejects]
        assert sorted(done) == sorted(sample.id for sample in splits[side])
    assert sorted(sample.id for samples in splits.values() for sample in samples) == sorted(
        r["id"] for r in rows
    )
    rejects = [reject for _, rejects in results.values() for reject in rejects]
    assert {reject.row["id"] for reject in rejects} == {f"{n}-4-0" for n in range(0, 90, 9)}
    assert all("근거 문장" in reject.reason and reject.line and reject.source for reject in rejects)


def test_the_golden_document_is_left_out_in_exactly_the_number_asked_for(run):
    for records, _ in run[3].values():
        assert sum(record.answerable for record in records) == round(0.8 * len(records))
        assert all((record.golden_index is None) == (not record.answerable) for record in records)


def test_no_answer_and_no_quote_is_lost(run):
    trimmed = 0
    for sample, record, _ in _pairs(run):
        if not record.answerable:
            assert (record.answer, record.cot) == (ABSTENTION, None)
            continue
        golden, end = record.context[record.golden_index], sample.answer_start + len(sample.answer)
        begin = sample.context.index(golden)  # a piece of the document, character for character
        trimmed += golden != sample.context
        assert begin <= sample.answer_start and end <= begin + len(golden)
        quotes = QUOTE.findall(record.cot)
        assert sample.answer in " ".join(quotes) and all(quote in golden for quote in quotes)
        # The occurrence that was meant, not the first one: its sentence is what is quoted.
        assert any(
            place <= sample.answer_start < place + len(quote)
            for quote in quotes
            for place in [sample.context.index(quote)]
        )
    assert trimmed > 50  # so that the above says something about trimming


def test_distractors_hold_no_answer_and_come_whole_from_the_same_side(run):
    for sample, record, side in _pairs(run):
        own = {other.context for other in side} - {sample.context}
        others = [text for i, text in enumerate(record.context) if i != record.golden_index]
        assert len(set(record.context)) == len(record.context)
        for text in others:
            assert text in own and not holds_answer(text, sample.answer)
    assert all(stats["holds_answer"] > 0 and stats["dropped_distractors"] > 0 for stats in run[4].values())


def test_no_document_stands_on_two_sides(run):
    seen: dict[str, str] = {}
    for side, samples in run[2].items():
        for sample in samples:
            assert seen.setdefault(document_key(sample.context), side) == side
            assert seen.setdefault(sample.group_id, side) == side


def test_the_budget_holds_in_the_templated_prompt(run, tokenizer):
    for _, record, _ in _pairs(run):
        assert context_tokens(record, tokenizer) <= LIMIT
        assert record.n_tokens == count_tokens(record, tokenizer)


def test_the_golden_position_is_uniform(run):
    from scipy.stats import chi2

    places = defaultdict(Counter)  # given how many documents are shown: dropping some leaves fewer places
    for _, record, _ in _pairs(run):
        if record.answerable:
            places[len(record.context)][record.golden_index] += 1
    statistic = freedom = 0.0
    for size, counts in places.items():
        expected = counts.total() / size
        if size > 1 and expected >= 5:
            statistic += sum((counts[place] - expected) ** 2 / expected for place in range(size))
            freedom += size - 1
    assert freedom >= 2 and chi2.sf(statistic, freedom) > 0.01


def test_the_same_output_twice(run, squad_file, tokenizer):
    again = _run(squad_file, tokenizer)
    assert run[2] == again[2] and run[3] == again[3] and run[4] == again[4]
