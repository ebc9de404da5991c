"""The slides' final checklist before an adapter leaves the house: six groups, most of it read from what was run.

What code cannot know (who rates, who watches, what it may cost) is asked for; a point that nobody answered stays open.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from src.evaluation.results import FEW_GROUPS, HEADLINE, Comparison
from src.experiments.checklist import ERROR, OK, WARNING, Check
from src.experiments.log import read_experiments
from src.experiments.sweeps import Run
from src.hub.cache import GB
from src.profiles import ROOT, Profile
from src.qlora.memory import GIB, needed_vram
from src.qlora.registry import licence_line, model_spec
from src.scoring.metrics import LABEL_METRICS, METRICS, metric_named
from src.templates import write_page

ASKED = "✏️"  # beside OK, WARNING and ERROR: a person has to write it
SIGNS = {OK: "됨", WARNING: "알고 가기", ERROR: "먼저 고치기", ASKED: "사람이 적기"}  # paper has no emoji
OUTPUT_GB = 1.0  # what a run leaves: checkpoints, events, pages
USUAL_RATES, USUAL_RANKS = (
    (1e-5, 5e-3),
    (4, 64),
)  # where LoRA is usually trained; outside it is worth a second look
# field of ``Plan`` -> (point, what is asked)
QUESTIONS = {
    "human": ("사람의 평가", "누가, 몇 문항을, 언제까지 보나요?"),
    "versions": ("버전 관리", "어댑터, 데이터, 코드를 어디에 두고 어떻게 되돌리나요?"),
    "api": ("추론 API", "누가 어떻게 묻고, 얼마나 기다리며, 답하지 못하면 무엇을 보여 주나요?"),
    "monitoring": ("모니터링", "무엇을 얼마나 자주 보고, 경보가 울리면 누가 무엇을 하나요?"),
    "feedback": ("피드백 수집", "사용자의 평가를 어디에 모으고, 누가 확인해 레코드로 만드나요?"),
}


@dataclass(frozen=True)
class Plan:
    """What only a person can say. Empty or None: not said yet."""

    human: str = ""
    versions: str = ""
    api: str = ""
    monitoring: str = ""
    feedback: str = ""
    metric: str = HEADLINE  # the one that decides, a key of ``METRICS`` or ``LABEL_METRICS``
    target: float | None = None  # what it must reach on the test split
    hours: float | None = None  # budget of time for trainings
    money: float | None = None  # budget, in any currency
    cost: float | None = None  # what the trainings cost, or will (``Bill.rows``)

    def __post_init__(self) -> None:
        if self.metric not in (known := {**METRICS, **LABEL_METRICS}):
            raise ValueError(f"'{self.metric}' 지표는 없습니다. {', '.join(known)} 가운데에서 골라 주세요.")


Groups = dict[str, list[Check]]


def final_checklist(
    data: Sequence[Check], run: Run, result: Comparison | None, plan: Plan, *, log_dir: str | Path
) -> Groups:
    """Six groups of points: ``data`` are ``checklist``'s, ``run`` is the one to be shipped, ``result`` its comparison on
    the test split, ``log_dir`` where ``log_experiment`` wrote."""
    return {
        "데이터": list(data),
        "환경": _environment(run.profile),
        "하이퍼파라미터": _settings(run),
        "평가": [*_evaluation(result), _ask(plan, "human")],
        "배포": [*_saved(run), *(_ask(plan, name) for name in ("versions", "api", "monitoring", "feedback"))],
        "실험 계획": _experiment_plan(run, result, plan, log_dir),
    }


def _point(item: str, found: str, *, warning: str = "", error: str = "", asked: str = "") -> Check:
    status = ERROR if error else WARNING if warning else ASKED if asked else OK
    return Check(item, status, found, error or warning or asked)


def _ask(plan: Plan, name: str) -> Check:
    item, question = QUESTIONS[name]
    answer = str(getattr(plan, name)).strip()
    return _point(item, answer or "–", asked="" if answer else question)


def _environment(profile: Profile) -> list[Check]:
    import torch

    spec, need = model_spec(profile), needed_vram(profile)[1]
    if torch.cuda.is_available():
        have = torch.cuda.get_device_properties(0).total_memory / GIB
        found = f"{have:.1f}GiB (어림한 필요량 {need:.1f}GiB)"
        short = "배치나 길이를 줄이거나 더 작은 모델을 고르세요(노트북 00의 4절)." if have < need else ""
        gpu = _point("GPU 메모리", found, error=short)
    else:
        short = "" if spec.local else f"이 모델에는 {need:.1f}GiB쯤의 GPU가 필요합니다."
        gpu = _point(
            "GPU 메모리", "GPU 없음" + (", 작은 모델이라 CPU로 충분" if spec.local else ""), error=short
        )
    pins = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8")))
    names = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")
    other = [f"{n} {v}" for n in names if (v := metadata.version(n)).split("+")[0] != pins[n]]
    packages = _point(
        "라이브러리",
        ", ".join(other) or f"{len(names)}개 모두 시험한 버전",
        warning="시험한 버전이 아닙니다. constraints.txt를 보세요." if other else "",
    )
    free, size = shutil.disk_usage(ROOT).free / GB, 0 if spec.local else spec.item.size / GB
    room = f"{free:,.0f}GB 남음 (베이스 모델 {size:,.0f}GB와 결과 {OUTPUT_GB:.0f}GB)"
    disk = _point("디스크", room, error="디스크를 비워 주세요." if free < size + OUTPUT_GB else "")
    return [gpu, packages, _hub_account(spec.local), disk]


def _hub_account(local: bool) -> Check:
    if local:
        return _point("허브 계정", "허브의 모델을 쓰지 않음")
    from huggingface_hub import get_token

    there = get_token() is not None
    return _point(
        "허브 계정", "토큰 있음" if there else "토큰 없음", warning="" if there else "hf auth login"
    )


def _settings(run: Run) -> list[Check]:
    profile, log = run.profile, run.log
    losses = [row["eval_loss"] for row in log["history"] if row["eval_loss"] is not None]
    low, high = USUAL_RATES
    rate = "흔히 쓰는 범위 밖입니다." if not low <= profile.learning_rate <= high else ""
    few, many = USUAL_RANKS
    rank = "흔히 쓰는 범위 밖입니다." if not few <= profile.lora_r <= many else ""
    batch = profile.batch_size * profile.gradient_accumulation_steps
    last = "마지막에도 검증 손실이 내려가고 있었습니다. 에폭을 늘려 볼 만합니다."
    watched = f"검증 {len(losses)}번, {profile.early_stopping_patience}번 나아지지 않으면 멈춤"
    once = "한 번만 재면 어디서 멈출지 알 수 없습니다. eval_steps를 줄이세요." if len(losses) == 1 else ""
    never = "학습하며 검증하지 않았습니다. eval_steps를 줄이세요." if not losses else ""
    falling = len(losses) > 1 and losses[-1] == min(losses) and log["steps"] == log["planned_steps"]
    return [
        _point("학습률", f"{profile.learning_rate:g}", warning=rate),
        _point("랭크", f"r={profile.lora_r}, alpha={profile.lora_alpha}", warning=rank),
        _point(
            "에폭과 배치",
            f"에폭 {profile.epochs:g}, 한 번에 {batch}건, {log['steps']}스텝",
            warning=last if falling else "",
        ),
        _point("검증 방법", watched, warning=once, error=never),
    ]


def _evaluation(result: Comparison | None) -> list[Check]:
    if result is None:
        missing = "시험 데이터로 재지 않았습니다. evaluate_adapter를 실행하세요."
        return [_point(item, "–", error=missing) for item in ("평가 지표", "시험 데이터", "비교 기준")]
    few = "묶음이 적어 구간이 넓습니다. 시험 데이터를 늘려 주세요." if result.n_groups < FEW_GROUPS else ""
    judged = result.metrics[HEADLINE].judgement
    unsure = "나아졌다고 말할 수 없습니다. 내보낼 까닭이 있는지 다시 보세요." if judged != "나아짐" else ""
    third = "있음" if result.few_shot else "없음(노트북 04처럼 재 볼 수 있습니다)"
    return [
        _point("평가 지표", ", ".join(metric_named(name).title for name in result.metrics)),
        _point("시험 데이터", f"{result.n}건, 묶음 {result.n_groups}개", warning=few),
        _point(
            "비교 기준",
            f"베이스 모델과 견줌: {metric_named(HEADLINE).title} {judged}, 예시를 준 베이스 {third}",
            warning=unsure,
        ),
    ]


def _saved(run: Run) -> list[Check]:
    folder = run.folder / "adapter"
    weights = folder / "adapter_model.safetensors"
    card = folder / "README.md"
    carded = card.is_file() and "차이의 95% 구간" in card.read_text(encoding="utf-8")
    size = f"{weights.stat().st_size / 1e6:.1f}MB" if weights.is_file() else "없음"
    spec = model_spec(run.profile)
    return [
        _point("저장", f"어댑터 {size}", error="" if weights.is_file() else "저장한 어댑터가 없습니다."),
        _point(
            "모델 카드",
            "점수가 있음" if carded else "점수가 없음",
            error="" if carded else "save_card로 점수를 적어 주세요.",
        ),
        _point(
            "베이스의 라이선스",
            spec.licence,
            warning=licence_line(spec) if spec.licence.endswith("NC") else "",
        ),
    ]


def _experiment_plan(run: Run, result: Comparison | None, plan: Plan, log_dir: str | Path) -> list[Check]:
    measured = result.metrics.get(plan.metric) if result else None
    title = metric_named(plan.metric).title
    shown = f"{title} {measured.base:.3f}" if measured else "–"
    points = [_point("베이스라인", shown, error="" if measured else "먼저 베이스 모델의 점수를 재세요.")]
    if plan.target is None:
        points.append(_point("목표 지표", "–", asked=f"{title}이(가) 얼마면 내보내나요?"))
    else:
        found = f"목표 {plan.target:g}, 튜닝한 모델 " + (f"{measured.tuned:.3f}" if measured else "–")
        lower = metric_named(plan.metric).lower_is_better
        met = measured and (measured.tuned <= plan.target if lower else measured.tuned >= plan.target)
        points.append(_point("목표 지표", found, error="" if met else "목표에 이르지 못했습니다."))
    rows = read_experiments(log_dir)
    untied = sum(str(commit).endswith(("-dirty", "unknown")) for commit in rows.get("commit", ()))
    points.append(
        _point(
            "실험 추적",
            f"기록 {len(rows)}줄, 커밋에 묶이지 않은 것 {untied}줄",
            warning="커밋하고 다시 실행하면 재현할 수 있습니다." if untied else "",
            error="" if len(rows) else "log_experiment로 기록을 남기세요.",
        )
    )
    spent = float(rows["minutes"].sum()) / 60 if "minutes" in rows else 0.0
    points.append(_budget("시간 예산", plan.hours, spent, "시간", "학습에 몇 시간까지 쓸 수 있나요?"))
    return [*points, _budget("비용 예산", plan.money, plan.cost, "", "얼마까지 쓸 수 있고, 얼마가 드나요?")]


def _budget(item: str, budget: float | None, spent: float | None, unit: str, question: str) -> Check:
    if budget is None or spent is None:
        return _point(item, "–", asked=question)
    found = f"예산 {budget:,g}{unit}, 쓴 것 {spent:,.2f}{unit}"
    return _point(item, found, error="예산을 넘었습니다." if spent > budget else "")


def open_points(groups: Mapping[str, Sequence[Check]]) -> dict[str, int]:
    """How many points there are of each status."""
    every = [check.status for checks in groups.values() for check in checks]
    return {status: every.count(status) for status in (OK, WARNING, ERROR, ASKED)}


def write_checklist(path: str | Path, groups: Mapping[str, Sequence[Check]], *, title: str) -> Path:
    """One page to print and sign, with room to write where something was asked."""
    counts = {SIGNS[status]: count for status, count in open_points(groups).items()}
    options: dict[str, Any] = {"signs": SIGNS, "ok": OK, "asked": ASKED, "error": ERROR}
    return write_page(path, "checklist.html.j2", title=title, groups=groups, counts=counts, **options)
