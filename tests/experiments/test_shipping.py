"""The last checklist: what it reads by itself, what it asks for, and the page that is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.evaluation.results import Comparison, Difference
from src.experiments.checklist import ERROR, OK, WARNING, Check
from src.experiments.log import log_experiment
from src.experiments.shipping import (
    ASKED,
    QUESTIONS,
    Plan,
    final_checklist,
    open_points,
    write_checklist,
)
from src.experiments.sweeps import Run

GROUPS = ["데이터", "환경", "하이퍼파라미터", "평가", "배포", "실험 계획"]
GOOD = Difference("rougeL", 0.2, 0.8, 0.6, (0.5, 0.7), 0.001)
RESULT = Comparison(40, {"rougeL": GOOD}, n_groups=10)
DONE = Plan(
    human="두 사람이 40문항", versions="Git 태그와 허브", api="사내 주소 하나", monitoring="주마다", feedback="시트에",
    target=0.7, hours=2, money=100, cost=40,
)  # fmt: skip
LOG = {
    "steps": 30,
    "planned_steps": 40,
    "history": [{"eval_loss": 0.9}, {"eval_loss": None}, {"eval_loss": 1.0}],
}


@pytest.fixture
def run(tiny_profile, tmp_path):
    adapter = tmp_path / "first" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"0" * 1000)
    (adapter / "README.md").write_text("| 지표 | 차이의 95% 구간 |", encoding="utf-8")
    log_experiment(tmp_path, {"commit": "abc1234", "minutes": 30})
    return Run("기준", replace(tiny_profile, learning_rate=2e-4), LOG, tmp_path / "first")


def groups_of(run, result=RESULT, plan=DONE):
    return final_checklist([Check("1. 데이터 양", OK, "600건")], run, result, plan, log_dir=run.folder.parent)


def point(groups, item):
    return next(check for checks in groups.values() for check in checks if check.item == item)


def test_six_groups_and_all_is_well(run):
    groups = groups_of(run)
    assert list(groups) == GROUPS
    counts = open_points(groups)
    assert counts[OK] >= 20 and counts[WARNING] == counts[ERROR] == counts[ASKED] == 0
    assert point(groups, "시간 예산").found == "예산 2시간, 쓴 것 0.50시간"


def test_what_nobody_said_is_asked_for(run):
    groups = groups_of(run, plan=Plan())
    asked = [check.item for checks in groups.values() for check in checks if check.status == ASKED]
    assert asked == [*(item for item, _ in QUESTIONS.values()), "목표 지표", "시간 예산", "비용 예산"]
    assert all(point(groups, item).remedy for item in asked)
    assert point(groups_of(run, plan=Plan(human="  ")), "사람의 평가").status == ASKED


@pytest.mark.parametrize(
    ("changes", "item", "status"),
    [
        ({"target": 0.81}, "목표 지표", ERROR),
        ({"target": 0.8}, "목표 지표", OK),
        ({"hours": 0.4}, "시간 예산", ERROR),
        ({"money": 30}, "비용 예산", ERROR),
        ({"cost": None}, "비용 예산", ASKED),
        ({"metric": "bleu"}, "베이스라인", ERROR),
    ],
)
def test_plan(run, changes, item, status):
    assert point(groups_of(run, plan=replace(DONE, **changes)), item).status == status


def test_a_target_may_be_an_upper_bound(run):
    low = Difference("false_abstention", 0.5, 0.1, -0.4, (-0.5, -0.3), 0.001)
    result = replace(RESULT, metrics={"rougeL": GOOD, "false_abstention": low})
    for target, status in ((0.2, OK), (0.05, ERROR)):
        plan = replace(DONE, metric="false_abstention", target=target)
        assert point(groups_of(run, result, plan), "목표 지표").status == status
    with pytest.raises(ValueError, match="지표는 없습니다"):
        Plan(metric="없음")


@pytest.mark.parametrize(
    ("history", "planned", "item", "status"),
    [
        ([], 30, "검증 방법", ERROR),
        ([{"eval_loss": 1.0}], 30, "검증 방법", WARNING),
        ([{"eval_loss": 1.0}, {"eval_loss": 0.9}], 30, "에폭과 배치", WARNING),
        ([{"eval_loss": 1.0}, {"eval_loss": 0.9}], 40, "에폭과 배치", OK),  # stopped early
    ],
)
def test_settings_are_judged_by_what_they_did(run, history, planned, item, status):
    other = run._replace(log=LOG | {"history": history, "planned_steps": planned})
    assert point(groups_of(other), item).status == status


def test_unusual_settings_are_told(run):
    other = run._replace(profile=replace(run.profile, learning_rate=0.1, lora_r=512))
    groups = groups_of(other)
    assert point(groups, "학습률").status == point(groups, "랭크").status == WARNING


def test_evaluation(run):
    assert {c.status for c in groups_of(run, None)["평가"][:3]} == {ERROR}
    assert point(groups_of(run, replace(RESULT, n_groups=4)), "시험 데이터").status == WARNING
    unsure = replace(GOOD, interval=(-0.1, 0.7))
    groups = groups_of(run, replace(RESULT, metrics={"rougeL": unsure}))
    assert point(groups, "비교 기준").status == WARNING and "차이 불확실" in point(groups, "비교 기준").found


def test_what_is_saved(run):
    (run.folder / "adapter" / "README.md").write_text("점수 없음")
    assert point(groups_of(run), "모델 카드").status == ERROR
    (run.folder / "adapter" / "adapter_model.safetensors").unlink()
    assert point(groups_of(run), "저장").status == ERROR


def test_a_licence_that_forbids_is_told_and_a_card_that_is_too_small(run):
    big = groups_of(run._replace(profile=replace(run.profile, model="exaone-3.5-7.8b")))
    assert point(big, "베이스의 라이선스").status == WARNING
    assert point(big, "GPU 메모리").status == ERROR  # no test runs where a card is


def test_runs_without_a_commit_are_counted(run):
    log_experiment(run.folder.parent, {"commit": "abc1234-dirty", "minutes": 1})
    found = point(groups_of(run), "실험 추적")
    assert found.status == WARNING and "기록 2줄, 커밋에 묶이지 않은 것 1줄" in found.found
    empty = final_checklist([], run, RESULT, DONE, log_dir=run.folder)
    assert point(empty, "실험 추적").status == ERROR


def test_the_page_is_whole_and_escaped(run, tmp_path):
    groups = groups_of(run, plan=replace(DONE, human="", api="<script>alert(1)</script>"))
    page = write_checklist(tmp_path / "checklist.html", groups, title="출시").read_text(encoding="utf-8")
    assert all(f". {name}</h2>" in page for name in GROUPS) and "<script>" not in page
    assert page.count("<tr>") == sum(map(len, groups.values()))
    assert page.count('class="line"') == page.count("☐ 사람이 적기") == 1 and "누가, 몇 문항을" in page
