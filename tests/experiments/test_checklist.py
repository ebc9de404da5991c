"""Each point of the checklist: what passes, what is told, what must be mended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.data.schemas import RaftRecord, RawSample, Reject
from src.experiments.checklist import ERROR, OK, RECOMMENDED_ROWS, WARNING, checklist
from src.experiments.own_data import Prepared
from src.quality.cleaning import Finding


def sample(n, **changes):
    row = {
        "id": f"s{n}",
        "group_id": f"g{n // 2}",
        "question": f"{n}번의 값은?",
        "context": f"{n}번의 값은 {n}점이다.",
    }
    return RawSample(**row | {"answer": f"{n}점", "topic": f"분류{n % 4}"} | changes)


def record(s, **changes):
    row = {"id": s.id, "instruction": "답하세요.", "context": [s.context], "question": s.question}
    row |= {"answer": s.answer, "group_id": s.group_id, "golden_index": 0, "answerable": True}
    return RaftRecord(**row | {"n_tokens": 50, "seed": 0} | changes)


@pytest.fixture
def data(tiny_profile):
    samples = [sample(n) for n in range(600)]
    splits = {"train": samples[:480], "validation": samples[480:540], "test": samples[540:]}
    records = {name: [record(s) for s in rows] for name, rows in splits.items()}
    return Prepared(tiny_profile, samples, [], splits, [], [], records)


def point(data, number, source="우리 팀", licence="CC BY 4.0"):
    return checklist(data, source=source, licence=licence)[number - 1]


def test_all_is_well(data):
    points = checklist(data, source="우리 팀", licence="CC BY 4.0")
    assert [p.status for p in points] == [OK] * 7
    assert "80%" in points[4].found


def test_amount(data):
    for n, status in ((RECOMMENDED_ROWS, OK), (RECOMMENDED_ROWS - 1, WARNING)):
        assert point(replace(data, samples=data.samples[:n]), 1).status == status


def test_quality_counts_refused_and_removed_rows(data):
    some = replace(data, rejects=[Reject(reason="비었습니다")] * 30)
    assert point(some, 2).status == OK
    removed = [Finding("r1", "near_duplicate", "removed", "", split="train")] * 60
    both = point(replace(some, findings=removed), 2)
    assert both.status == WARNING and "거절 30건" in both.found and "근사 중복 60건" in both.found
    flagged = [Finding("r1", "relevance", "flagged", "", split="train")] * 3
    assert point(replace(data, findings=flagged), 2)[1:3] == (OK, "거절 0건 (0%), 눈여겨볼 행 3건")


def test_distribution(data):
    assert (
        point(replace(data, samples=[sample(n, topic="가" * (n % 3 > 0)) for n in range(600)]), 3).status
        == WARNING
    )
    same = point(
        replace(data, samples=[sample(n, answer="예" if n % 3 else "아니요") for n in range(600)]), 3
    )
    assert same.status == WARNING and "'예' 67%" in same.found
    assert "묶음" in point(replace(data, samples=[sample(n, topic="") for n in range(600)]), 3).found


def test_conversion(data):
    refused = replace(data, unconverted=[Reject(reason="문서가 깁니다.")])
    assert point(refused, 4).status == WARNING and "문서가 깁니다." in point(refused, 4).remedy
    data.records["train"][0].n_tokens = data.profile.max_seq_length + 1
    assert point(data, 4).status == ERROR and "길이를 넘는 것 1건" in point(data, 4).found


def test_division(data):
    few = replace(data, splits={**data.splits, "test": data.splits["test"][:10]})
    assert point(few, 5).status == WARNING and "5개뿐" in point(few, 5).remedy
    leaking = replace(data, splits={**data.splits, "test": data.splits["test"] + data.splits["train"][:1]})
    assert point(leaking, 5).status == ERROR and "같은 문서" in point(leaking, 5).remedy
    assert point(replace(data, records={**data.records, "test": []}), 5).status == ERROR


def test_personal_data(data):
    data.samples[0].context += " 담당 010-1234-5678"
    masked = point(data, 6)
    assert masked.status == WARNING and "휴대전화 1건, 모두 가림" in masked.found and "이름" in masked.remedy
    data.records["train"][0].context = [data.samples[0].context]
    assert point(data, 6).status == ERROR and "가린 뒤에도 1건" in point(data, 6).found


@pytest.mark.parametrize(
    ("source", "licence", "status", "told"),
    [
        ("", "MIT", ERROR, "출처 없음"),
        ("어딘가", " ", ERROR, "라이선스 없음"),
        ("KorQuAD", "CC BY-ND 2.0 KR", WARNING, "나눌 수 없습니다"),
        ("모음", "cc-by-nc-4.0", WARNING, "상업적으로"),
        ("우리 것", "Apache-2.0", OK, ""),
    ],
)
def test_rights(data, source, licence, status, told):
    found = point(data, 7, source, licence)
    assert found.status == status and told in f"{found.found} {found.remedy}"
