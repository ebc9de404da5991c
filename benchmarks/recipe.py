"""Which recipe teaches reading? Trainings with other settings, each scored on validation alone, never on the test split.

``python -m benchmarks.recipe`` trains what ``PLAN`` names, one change at a time (some minutes a cell on two cores),
keeps a row of each in docs/recipe.jsonl and writes docs/benchmarks.md. It may be stopped at any time: what is in
the file is not trained again. Notebook 04 shows the rows of the base and data that it has before it.

    python -m benchmarks.recipe golden_probability=0.6,0.8,1 num_distractors=0,2,1-4   # these alone
    python -m benchmarks.recipe --cross lora_r=8,16 learning_rate=1e-3,2e-3 --seeds 42,43
    python -m benchmarks.recipe --limit 3      # at most three trainings more
    python -m benchmarks.recipe --report       # no training: the tables again
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import machine, write_section
from src.experiments.recipe_tables import VIEWS, recipe_table, view_table, view_verdict
from src.experiments.recipes import BASE, GOLDEN_ALONE, ROWS, SETTINGS, read_rows, search
from src.experiments.sweeps import variants
from src.profiles import PROFILES, Profile, active_profile

TINY = PROFILES["tiny"]
PLAN: dict[str, list[Any]] = {
    "golden_probability": [0.4, 0.6, 0.8, 0.9, 1.0],
    "num_distractors": [1, 2, 4, (1, 4)],
    "add_cot": [False, True],
    "hard_share": [0.0, 0.5, 1.0],
    "lora_r": [8, 16, 32],
    "learning_rate": [TINY.learning_rate / 2, TINY.learning_rate, TINY.learning_rate * 2],
    "epochs": [TINY.epochs / 2, TINY.epochs, TINY.epochs * 2],
}
TITLES = {
    "golden_probability": "P와 답 없음",
    "num_distractors": "학습의 방해 문서와 시험의 문서 수 k",
    "add_cot": "근거를 인용하는 추론",
}


def option(text: str) -> tuple[str, list[Any]]:
    """``num_distractors=2,1-4`` -> its name and values, as the profile holds them.

    Raises:
        argparse.ArgumentTypeError: no such setting, no value, or one that cannot be read.
    """
    name, _, values = text.partition("=")
    try:
        if name in SETTINGS and values:
            return name, [_value(name, value) for value in values.split(",")]
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(
        f"'{text}'을(를) 읽을 수 없습니다. 이름=값,값으로 적고, 이름은 {', '.join(SETTINGS)} 가운데에서 골라 주세요."
    )


def _value(name: str, text: str) -> Any:
    if ends := re.fullmatch(r"(\d+)[-~](\d+)", text):
        return tuple(map(int, ends.groups()))
    own = getattr(TINY, name)
    if isinstance(own, bool):
        return text.lower() in ("1", "true", "on")
    return float(text) if isinstance(own, float) else int(text)


def cells(profile: Profile, options: dict[str, list[Any]], *, cross: bool = False) -> list[dict[str, Any]]:
    """What is changed in each training: base and golden-only training, the profile as it is, then one setting at a time,
    or with ``cross`` every combination."""
    if cross:
        changed = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    else:
        made = variants(profile, options, SETTINGS)
        changed = [{name: getattr(other, name) for name in options if getattr(other, name) != getattr(profile, name)} for _, other in made]  # fmt: skip
    return [BASE, {}, GOLDEN_ALONE, *changed]


def report(profile: Profile, rows: Sequence[dict]) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        "## 레시피",
        "",
        f"{profile.name} 프로파일에서 설정을 바꾸어 가며 학습하고, 검증(validation) 쪽의 답 있는 질문 "
        f"{profile.open_book_questions}개까지를 노트북 04의 11절처럼 검색한 문서 k개로 물었습니다. 시험 데이터는 쓰지 않았습니다. "
        "'평균'은 네 k에서 맞은 비율(골든 문서가 있으면 정답 포함, 없으면 답 없음)의 평균이고, 고를 때는 이 값을 봅니다. "
        "추론이 있으면 추론 뒤의 답만 셉니다. 차이는 프로파일의 값과 견준 것이고(둘 다 학습한 시드만), 괄호는 제품을 다시 뽑은 95% 구간입니다. "
        "다시 재려면 `.venv/bin/python -m benchmarks.recipe`를 실행합니다(끊겨도 이어서 합니다).",
        "",
        markdown(recipe_table(rows, profile)),
    ]
    for name, view in VIEWS.items():
        if (table := view_table(rows, profile, view)) is not None:
            told = view_verdict(rows, profile, view).replace("\n", "\n- ")
            lines += ["", f"### {TITLES[name]}", "", markdown(table), "", f"- {told}"]
    return "\n".join([*lines, "", machine("torch", "transformers", "peft", "bitsandbytes")])


def markdown(table: Any) -> str:
    """A pandas table of texts as a Markdown one."""
    head = [table.index.name, *table.columns]
    rows = [[name, *map(str, line)] for name, line in zip(table.index, table.to_numpy(), strict=True)]
    aligned = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, aligned, *rows])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="설정을 바꾸어 학습하고 검증 데이터로 견줍니다.")
    parser.add_argument("options", nargs="*", type=option, metavar="이름=값,값", help="적지 않으면 PLAN 전부")
    parser.add_argument("--cross", action="store_true", help="하나씩이 아니라 모든 조합")
    parser.add_argument("--seeds", default="42", help="쉼표로 나눈 시드")
    parser.add_argument("--limit", type=int, help="새로 학습할 것의 최대 수")
    parser.add_argument("--rows", type=Path, default=ROWS, help="행을 둘 파일")
    parser.add_argument("--report", action="store_true", help="학습하지 않고 표만 다시 쓰기")
    chosen = parser.parse_args(arguments)
    profile = active_profile()
    if chosen.report:
        rows = read_rows(chosen.rows, profile)
    else:
        wanted = cells(profile, dict(chosen.options) or PLAN, cross=chosen.cross)
        seeds = [int(seed) for seed in chosen.seeds.split(",")]
        rows = search(profile, wanted, seeds, chosen.rows, limit=chosen.limit)
    if not rows:
        raise SystemExit("이 베이스와 데이터로 잰 행이 없습니다. --report 없이 실행해 주세요.")
    write_section("recipe", report(profile, rows))


if __name__ == "__main__":
    main()
