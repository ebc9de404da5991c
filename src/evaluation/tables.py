"""Tables of a comparison: metric by metric, part by part, question by question."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.data.schemas import RaftRecord
from src.evaluation.comparison import question_groups
from src.evaluation.resampling import paired_difference, units
from src.evaluation.results import HEADLINE, Comparison, Difference
from src.scoring.metrics import METRICS, sample_scores
from src.scoring.tokenizers import TOKENIZERS, check_lengths


def _cells(entry: Difference) -> dict[str, Any]:
    low, high = entry.interval
    return {"튜닝한 모델": entry.tuned, "차이": entry.difference, "95% 하한": low, "95% 상한": high}


def comparison_table(result: Comparison) -> Any:
    """A pandas table, one metric a row; ↓ marks what should be low. Percent ("–" below the floor) comes last."""
    import pandas as pd

    rows = []
    for name, entry in result.metrics.items():
        other = result.few_shot and result.few_shot[name]
        percent = entry.percent_change
        row = {"지표": entry.title, "범위": METRICS[name].scale, "베이스 모델": entry.base}
        if other:
            row["예시를 준 베이스"] = other.base
        row |= _cells(entry) | {"p값": entry.p_text, "판정": entry.judgement}
        row["변화율(%)"] = "–" if percent is None else f"{percent:+.0f}"
        if other:
            row |= {"차이(예시 대비)": other.difference, "판정(예시 대비)": other.judgement}
        rows.append(row)
    return _three_digits(pd.DataFrame(rows).set_index("지표"))


def compare_parts(
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    records: Sequence[RaftRecord],
    labels: Sequence[str],
    *,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Any:
    """ROUGE-L compared within each part of the questions, as a pandas table with the largest gain first.

    ``labels`` names each question's part: ``[record.topic for record in records]``, ``length_labels(records)``. Of
    many parts one in twenty looks changed by chance: read the table as a hint where to look. In a part of one
    product single questions are resampled, and its row speaks of that product alone.

    Raises:
        ValueError: lists of unequal length.
    """
    import pandas as pd

    sides = {"베이스 모델": base_answers, "튜닝한 모델": tuned_answers}
    check_lengths({"질문": records, "부분의 이름": labels, **sides})
    references = [record.answer for record in records]
    base, tuned = (np.array(sample_scores(HEADLINE, side, references)) for side in sides.values())
    groups = question_groups(records)
    table = []
    for label in dict.fromkeys(labels):
        chosen = [i for i, other in enumerate(labels) if other == label]
        parts = [groups[i] for i in chosen]
        entry = paired_difference(
            base[chosen], tuned[chosen], groups=units(parts), n_resamples=n_bootstrap, seed=seed
        )
        counts = {"부분": label, "질문 수": len(chosen), "제품·문서 수": len(set(parts))}
        table.append({**counts, "베이스 모델": entry.base, **_cells(entry), "판정": entry.judgement})
    columns = pd.DataFrame(table).set_index("부분")
    return _three_digits(columns.sort_values("차이", ascending=False, kind="stable"))


def _three_digits(table: Any) -> Any:
    """Floats rounded as the pages write them (0.9175 -> 0.917); pandas' own ``round`` scales first (0.918)."""
    return table.map(lambda value: round(float(value), 3) if isinstance(value, float) else value)


def length_labels(records: Sequence[RaftRecord]) -> list[str]:
    """Each question's part by the length of its reference in morphemes: three parts of about equal size."""
    lengths = np.array([len(TOKENIZERS["mecab"](record.answer)) for record in records])
    edges = np.unique(np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf"))
    part = np.searchsorted(edges, lengths)  # up to and with the edge
    ends = {p: sorted({lengths[part == p].min(), lengths[part == p].max()}) for p in np.unique(part)}
    return [f"정답 {'–'.join(map(str, ends[p]))}형태소" for p in part]


def sample_table(
    records: Sequence[RaftRecord],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    *,
    few_shot_answers: Sequence[str] | None = None,
) -> Any:
    """Each question's ROUGE-L as a pandas table, largest gain first, largest loss last."""
    import pandas as pd

    sides = {"질문": records, "베이스 모델": base_answers, "튜닝한 모델": tuned_answers}
    check_lengths(sides if few_shot_answers is None else {**sides, "예시를 준 베이스": few_shot_answers})
    references = [record.answer for record in records]
    before, after = (sample_scores(HEADLINE, side, references) for side in (base_answers, tuned_answers))
    columns = {
        "질문": [record.question for record in records],
        "정답": references,
        "베이스 모델의 답": list(base_answers),
        "튜닝한 모델의 답": list(tuned_answers),
        "베이스 점수": before,
        "튜닝 점수": after,
        "차이": np.subtract(after, before),
        "답 있음": [record.answerable for record in records],
    }
    if few_shot_answers is not None:
        columns["예시를 준 베이스의 답"] = list(few_shot_answers)
        columns["예시 점수"] = sample_scores(HEADLINE, few_shot_answers, references)
    return pd.DataFrame(columns).sort_values("차이", ascending=False, kind="stable")
