"""The slides' checklist for own data as checks that run: amount, quality, distribution, conversion, split, rights."""

from collections import Counter
from typing import NamedTuple

from src.data.splitting import SPLIT_NAMES, LeakageError, check_leakage, split_shares
from src.evaluation.results import FEW_GROUPS
from src.experiments.own_data import Prepared
from src.quality.cleaning import CHECKS
from src.quality.personal_data import find_personal_data

# The slides' "at least 500, better 1,000 to 10,000"; the shares are rules of thumb of this workshop.
RECOMMENDED_ROWS, MAX_LOST, MAX_SHARE, MAX_SAME_ANSWER = 500, 0.1, 0.5, 0.2
OK, WARNING, ERROR = "✅", "⚠️", "❌"


class Check(NamedTuple):
    """One line of the checklist; ``remedy`` is empty where all is well."""

    item: str
    status: str  # OK, WARNING (know it and go on) or ERROR (mend it first)
    found: str
    remedy: str = ""


def _check(item: str, found: str, *, warning: str = "", error: str = "") -> Check:
    """A line of the checklist; ``warning`` and ``error`` are what to do, empty where all is well."""
    return Check(item, ERROR if error else WARNING if warning else OK, found, error or warning)


def checklist(data: Prepared, *, source: str, licence: str) -> list[Check]:
    """The slides' six points on prepared data; ``source`` and ``licence`` only a person knows."""
    checks = (_amount, _quality, _distribution, _conversion, _division, _personal)
    return [*(check(data) for check in checks), _rights(source, licence)]


def _amount(data: Prepared) -> Check:
    n = len(data.samples)
    warning = "형식은 배워도 새 지식은 어렵습니다. 시험 점수의 구간이 넓다는 것도 알고 읽어 주세요."
    found = f"{n:,}건 (권장 {RECOMMENDED_ROWS:,}건 이상)"
    return _check("1. 데이터 양", found, warning="" if n >= RECOMMENDED_ROWS else warning)


def _quality(data: Prepared) -> Check:
    removed = Counter(f.check for f in data.findings if f.action == "removed")
    lost = (len(data.rejects) + removed.total()) / (len(data.samples) + len(data.rejects))
    odd = sum(bool(sample.warnings) for sample in data.samples)
    odd += sum(f.action == "flagged" for f in data.findings)
    parts = [
        f"거절 {len(data.rejects)}건",
        *(f"{CHECKS[check]} {count}건" for check, count in removed.items()),
    ]
    warning = "빠진 행을 읽고, 데이터의 잘못인지 검사의 잘못인지 가려 주세요." if lost > MAX_LOST else ""
    return _check("2. 품질", f"{', '.join(parts)} ({lost:.0%}), 눈여겨볼 행 {odd}건", warning=warning)


def _distribution(data: Prepared) -> Check:
    n = len(data.samples)
    key, what = ("topic", "분류") if any(s.topic for s in data.samples) else ("group_id", "묶음")
    top, count = Counter(getattr(s, key) for s in data.samples).most_common(1)[0]
    answer, same = Counter(s.answer for s in data.samples).most_common(1)[0]
    found = f"가장 많은 {what} '{top}' {count / n:.0%}, 가장 흔한 답 '{answer[:20]}' {same / n:.0%}"
    skewed = count / n > MAX_SHARE or same / n > MAX_SAME_ANSWER
    warning = "모자란 쪽을 더 모으거나, 점수를 분류별로 따로 보세요." if skewed else ""
    return _check("3. 분포", found, warning=warning)


def _conversion(data: Prepared) -> Check:
    records = [record for rows in data.records.values() for record in rows]
    long = sum(record.n_tokens > data.profile.max_seq_length for record in records)
    found = f"레코드 {len(records):,}건, 변환하지 못한 행 {len(data.unconverted)}건, 길이를 넘는 것 {long}건"
    warning = f"까닭: {data.unconverted[0].reason}" if data.unconverted else ""
    error = "num_distractors나 max_context_tokens를 줄여 주세요." if long else ""
    return _check("4. RAFT 변환", found, warning=warning, error=error)


def _division(data: Prepared) -> Check:
    shares = split_shares(data.splits)
    found = ", ".join(f"{SPLIT_NAMES[row['split']]} {row['share']:.0%}" for row in shares)
    try:
        check_leakage(data.splits, question_threshold=None)
    except LeakageError as error:
        return _check("5. 분할", found, error=str(error).splitlines()[0])
    if not all(data.records.values()):
        return _check("5. 분할", found, error="빈 쪽이 있습니다. 비율을 바꾸거나 묶음을 더해 주세요.")
    few = min(row["groups"] for row in shares if row["split"] != "train")
    warning = f"한쪽의 묶음이 {few}개뿐이라 점수로 단정할 수 없습니다." if few < FEW_GROUPS else ""
    return _check("5. 분할", f"{found}, 새는 것 없음", warning=warning)


def _personal(data: Prepared) -> Check:
    before = Counter(
        hit["kind"]
        for text in dict.fromkeys(text for s in data.samples for text in (s.question, s.context, s.answer))
        for hit in find_personal_data(text)
    )
    records = [record for rows in data.records.values() for record in rows]
    texts = {text for r in records for text in (*r.context, r.question, r.answer, r.cot or "")}
    left = sum(len(find_personal_data(text)) for text in texts)
    found = ", ".join(f"{kind} {count}건" for kind, count in before.items()) or "형식이 있는 것은 없음"
    if left:
        return _check("6. 개인정보", f"{found}, 가린 뒤에도 {left}건", error="레코드를 직접 고쳐 주세요.")
    status, found = (WARNING, f"{found}, 모두 가림") if before else (OK, found)
    return Check("6. 개인정보", status, found, "이름과 주소는 찾지 못합니다. 표본을 직접 읽어 주세요.")


def _rights(source: str, licence: str) -> Check:
    source, licence = source.strip(), licence.strip()
    item, found = "6. 출처와 라이선스", f"{source or '출처 없음'}, {licence or '라이선스 없음'}"
    if not (source and licence):
        return _check(item, found, error="어디에서 왔고 무엇이 허락되는지 적어 주세요. 모르면 쓰지 마세요.")
    words = licence.upper().replace("-", " ").split()
    said = {"NC": "상업적으로 쓸 수 없습니다", "ND": "가공한 데이터를 나눌 수 없습니다"}
    limits = "; ".join(text for word, text in said.items() if word in words)
    return _check(item, found, warning=limits and f"{limits}.")
