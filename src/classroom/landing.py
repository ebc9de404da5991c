"""The page to land on: ``outputs/<profile>/index.html``, with the verdict first and a way to everything a run left.

It works from a folder, without a network or a script. ``python -m src.classroom.landing FOLDER`` copies it and every
page that it leads to, for a web server.
"""

import argparse
import base64
import io
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from src.data.files import read_jsonl
from src.evaluation.pages import plot_comparison
from src.evaluation.results import Comparison
from src.profiles import active_profile
from src.templates import write_page

WORDS = {"ok": "완료", "failed": "실패", "not run": "실행 안 함"}
# What the notebooks and commands leave beside the executed pages: (pattern below the folder, title, what it is).
PAGES = (
    ("comparison.html", "튜닝 전후 비교", "질문마다 두 답을 나란히 놓은 페이지"),
    ("artifacts/quality_report.html", "데이터 품질 보고서", "무엇을 왜 걸러 냈는지"),
    ("rating/page-*.html", "사람의 평가", "어느 답이 나은지 사람에게 묻는 페이지"),
    ("model_card.html", "모델 카드", "어댑터를 무엇으로 만들었고 어디까지 쓸 수 있는지"),
    ("slides/*.html", "슬라이드", "노트북으로 만든 수업 자료(make slides)"),
    ("custom/checklist.html", "내보내기 전 체크리스트", "인쇄해서 채우고 서명하는 한 장"),
    ("experiments.csv", "실험 기록", "스프레드시트로 여는 표"),
    ("run.json", "실행 기록", "노트북과 셀의 시간"),
)


def write_landing(output_dir: Path, run: Mapping[str, Any]) -> Path:
    """Write the page of ``run`` (``run.json``). Whatever a run has not left is not on it."""
    card = output_dir / "artifacts" / "adapter" / "README.md"
    if card.is_file():
        _write_card(card, output_dir / "model_card.html")
    result, chart, damaged = None, "", False
    if (output_dir / "comparison.json").is_file():
        try:
            result = Comparison.from_json((output_dir / "comparison.json").read_text(encoding="utf-8"))
            image = io.BytesIO()
            plot_comparison(result).savefig(image, format="png", dpi=100, metadata={"Software": None})
            chart = base64.b64encode(image.getvalue()).decode()
        except (ValueError, KeyError, TypeError, AttributeError):
            result, damaged = None, True  # a broken file must not spoil the end of a long run
    found = [
        (path.relative_to(output_dir).as_posix(), title, about, path.stem if "*" in pattern else "")
        for pattern, title, about in PAGES
        for path in sorted(output_dir.glob(pattern))
    ]
    notebooks, electives = (
        [
            {**entry, "word": WORDS[entry["status"]], "page": f"html/{entry['name']}.html"}
            | {"there": (output_dir / "html" / f"{entry['name']}.html").is_file(), "note": _note(entry)}
            for entry in entries
        ]
        for entries in (run["notebooks"], run.get("electives", {}).get("notebooks", []))
    )
    return write_page(
        output_dir / "index.html",
        "index.html.j2",
        title="QLoRA 워크숍: 실행 결과",
        profile=output_dir.name,
        result=result,
        chart=chart,
        damaged=damaged,
        notebooks=notebooks,
        electives=electives,
        minutes=run["seconds"] / 60,
        pages=found,
        experiments=_experiments(output_dir / "experiments.jsonl"),
    )


def _note(entry: dict[str, Any]) -> str:
    parts = ["{heading}: {message}".format_map(entry["error"])] if "error" in entry else []
    parts += [f"커널이 멈춰 {entry['restarts']}번 다시 시작"] if "restarts" in entry else []
    parts += [f"경고 {entry['stderr']}줄"] if entry["stderr"] else []
    return ", ".join(parts)


def _write_card(card: Path, target: Path) -> None:
    from mistune import create_markdown

    markdown = create_markdown(escape=True, plugins=["table"])
    text = re.sub(r"\A---\n.*?\n---\n", "", card.read_text(encoding="utf-8"), flags=re.DOTALL)
    write_page(target, "document.html.j2", title="모델 카드", content=Markup(markdown(text)))


def _experiments(path: Path) -> list[dict[str, str]]:
    """The logged runs, newest first: what was varied and what came out."""
    rows = read_jsonl(path, damaged=[]) if path.is_file() else []
    shown = [
        {
            "날짜": str(row.get("date", ""))[:16].replace("T", " "),
            "학습 레코드": str(row.get("data", {}).get("train_records", "")),
            "r": str(row.get("lora", {}).get("r", "")),
            "학습률": f"{row.get('training', {}).get('learning_rate', 0):g}",
            "에폭": str(row.get("training", {}).get("epochs", "")),
            "ROUGE-L": f"{score:.3f}" if (score := row.get("metrics", {}).get("rougeL")) is not None else "–",
            "비고": str(row.get("remark") or ""),
            "관찰": str(row.get("observation") or ""),
            "다음 실험": str(row.get("next") or ""),
        }
        for row in reversed(rows)
    ]
    unused = {name for name in ("관찰", "다음 실험") if not any(row[name] for row in shown)}
    return [{name: text for name, text in row.items() if name not in unused} for row in shown]


def links(page: str) -> list[str]:
    """Where ``page`` (its HTML) leads within its own folder: no address of the web, no place on the page itself."""
    found = re.findall(r'(?:href|src)="([^"#]+)', page)
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def collect(output_dir: Path, target: Path) -> int:
    """Copy the landing page and the files that it leads to into ``target``; returns how many."""
    names = ["index.html", *links((output_dir / "index.html").read_text(encoding="utf-8"))]
    for name in dict.fromkeys(names):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(output_dir / name, target / name)
    return len(set(names))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m src.classroom.landing", description="실행 결과의 페이지를 한 폴더에 모읍니다."
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    output_dir = active_profile().output_dir
    if not (output_dir / "run.json").is_file():
        print("실행 결과가 없습니다. 먼저 make workshop 을 실행해 주세요.")
        return 1
    write_landing(output_dir, json.loads((output_dir / "run.json").read_text(encoding="utf-8")))
    print(f"{collect(output_dir, folder)}개 파일: {folder / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
