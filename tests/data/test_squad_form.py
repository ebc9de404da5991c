"""A SQuAD-form file from reading to records: what KorQuAD goes through, on a file that this test writes itself."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest
from articles import write_articles

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
QUOTE = re.compile(re.escape(QUOTE_BEGIN) + "(.*?)" + re.escape(QUOTE_END), re.DOTALL)


class Characters:
    """One token a character, and a chat template that trims its messages, as some models' templates do."""

    chat_template = "trims"

    def apply_chat_template(self, messages, **options):
        return "".join(f"<{m['role']}>{m['content'].strip()}" for m in messages)

    def encode(self, text, add_special_tokens):
        return list(text)


@pytest.fixture(scope="module")
def squad_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("squad") / "written.json"
    path.write_text(
        json.dumps({"version": "1", "data": write_articles(90, seed=11)}, ensure_ascii=False),
        encoding="utf-8",
    )
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
    assert len(rows) == 90 * 6 + 10 and not refused
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
