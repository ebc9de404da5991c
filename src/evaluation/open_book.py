"""The open-book exam of RAFT: answering from what a retriever brings, with golden-only training to compare with.

The paper (arXiv 2403.10131, sections 3 and 4) trains on a golden document among distractors and tests on the top k of
a retriever. Here the same questions are asked for several k: as the retriever finds, and with every document that
holds the answer taken away, so that to abstain is right.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from src.data.schemas import RaftRecord
from src.evaluation.resampling import paired_difference, units
from src.evaluation.results import Difference
from src.evaluation.retrieval import Retriever, golden_rank
from src.profiles import Profile
from src.raft.answers import ABSTENTION, is_abstention
from src.raft.evidence import holds_answer
from src.raft.prompt import count_tokens
from src.scoring.correctness import answer_contained
from src.scoring.tokenizers import check_lengths


def open_book_records(
    records: Sequence[RaftRecord],
    retriever: Retriever,
    k: int,
    *,
    tokenizer: Any,
    profile: Profile,
    without_answer: bool = False,
) -> list[RaftRecord]:
    """``records`` (answerable ones) with the retriever's top ``k`` documents in place of their own, best first.

    The prompt with ``profile.max_new_tokens`` for the answer must fit into ``profile.max_seq_length``; the last
    documents go until it does. Where the golden document is not shown the record is unanswerable and its answer an
    abstention. ``without_answer`` takes away, before the top k, every document that holds the answer.
    """
    room = profile.max_seq_length - profile.max_new_tokens
    result = []
    for record in records:
        hits = [text for text, _ in retriever.retrieve(record.question, 10**6 if without_answer else k)]
        if without_answer:
            held = [golden_rank(record, [text]) or holds_answer(text, record.answer) for text in hits]
            hits = [text for text, holds in zip(hits, held, strict=True) if not holds]
        exam = record.model_copy(update={"context": hits[:k], "cot": None, "answer": ""})
        while len(exam.context) > 1 and count_tokens(exam, tokenizer) > room:
            exam.context = exam.context[:-1]
        rank = golden_rank(record, exam.context)
        exam.answerable, exam.golden_index = rank is not None, rank - 1 if rank else None
        exam.answer = record.answer if rank else ABSTENTION
        exam.n_tokens = count_tokens(exam, tokenizer)
        result.append(exam)
    return result


def is_right(record: RaftRecord, answer: str) -> bool:
    """Whether ``answer`` holds the record's, or abstains where the documents do not hold it."""
    return answer_contained(answer, record.answer) if record.answerable else is_abstention(answer)


def open_book_table(
    exams: Mapping[Any, Sequence[RaftRecord]], answers: Mapping[str, Mapping[Any, Sequence[str]]]
) -> Any:
    """A pandas table, one answer a row: ``시험`` (a key of ``exams``), ``모델`` (of ``answers``), ``골든 문서`` (있음,
    없음), ``맞음``, ``답 없음`` and the product or document that the question is about.

    Raises:
        ValueError: not an answer for each record.
    """
    import pandas as pd

    for system, by_exam in answers.items():
        for exam, rows in by_exam.items():
            check_lengths({f"{exam} 시험지": exams[exam], f"{system}의 답": rows})
    return pd.DataFrame(
        {
            "시험": exam,
            "모델": system,
            "골든 문서": "있음" if record.answerable else "없음",
            "맞음": is_right(record, answer),
            "답 없음": is_abstention(answer),
            "제품": record.group_id,
        }
        for system, by_exam in answers.items()
        for exam, rows in by_exam.items()
        for record, answer in zip(exams[exam], rows, strict=True)
    )


def compare_right(table: Any, base: str, tuned: str, *, n_resamples: int, seed: int) -> dict[Any, Difference]:
    """For each exam of ``open_book_table`` the share that two models have right, resampled by product (by question
    where all are of one product).

    Raises:
        ValueError: a model that is not in ``table``.
    """
    sides = [_answers_of(table, system) for system in (base, tuned)]
    return _compare(*sides, n_resamples=n_resamples, seed=seed)


def compare_changed(
    table: Any, changed: Any, system: str, *, n_resamples: int, seed: int
) -> dict[Any, Difference]:
    """For each exam of ``changed`` what one model has right there against the same exam in ``table``: the same questions
    in the same order, about documents with other numbers (``changed_digits``).

    Raises:
        ValueError: a model that is not in both tables.
    """
    after = _answers_of(changed, system)
    before = _answers_of(table, system)
    before = before[before["시험"].isin(after["시험"].unique())]
    return _compare(before, after, n_resamples=n_resamples, seed=seed)


def _answers_of(table: Any, system: str) -> Any:
    if system not in (systems := list(table["모델"].unique())):
        raise ValueError(f"표에 없는 모델입니다: {system}. 고를 수 있는 모델: {', '.join(systems)}.")
    return table[table["모델"] == system]


def _compare(before: Any, after: Any, *, n_resamples: int, seed: int) -> dict[Any, Difference]:
    result = {}
    for exam, first in before.groupby("시험", sort=False):
        second = after[after["시험"] == exam]
        groups = units(list(first["제품"]))
        right = [side["맞음"].to_numpy(dtype=float) for side in (first, second)]
        draws = {"groups": groups, "n_resamples": n_resamples, "seed": seed}
        result[exam] = paired_difference(*right, "answer_contained", **draws)
    return result


def difference_table(
    differences: Mapping[tuple[str, Any], Difference], titles: Sequence[str], sides: tuple[str, str]
) -> Any:
    """(what is compared, k) -> difference as a pandas table, one a row: ``titles`` name the two parts of the index,
    ``sides`` the two shares."""
    import pandas as pd

    rows = [
        [*key, e.base, e.tuned, e.difference, *e.interval, e.p_text, e.judgement]
        for key, e in differences.items()
    ]
    columns = [*titles, *sides, "차이", "95% 하한", "95% 상한", "p값", "판정"]
    return pd.DataFrame(rows, columns=columns).set_index(list(titles))


def open_book_verdict(differences: Mapping[tuple[str, Any], Difference]) -> str:
    """What the intervals allow to be said of (what is compared, k), one line for each that is compared, in Korean."""
    lines = []
    for rival in dict.fromkeys(name for name, _ in differences):
        entries = {k: entry for (name, k), entry in differences.items() if name == rival}
        found: dict[str, list[str]] = {}
        for k, entry in entries.items():
            found.setdefault(entry.judgement, []).append(f"k={k}({entry.difference:+.3f})")
        lines.append(f"{rival}: " + "; ".join(f"{judged} {', '.join(ks)}" for judged, ks in found.items()))
    return "\n".join(lines)
