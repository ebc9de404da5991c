"""The page to land on leads to everything that a run left, and nowhere else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from src.classroom import run
from src.classroom.landing import collect, links, write_landing
from src.classroom.report import not_run

DIFFERENCE = {"base": 0.1, "tuned": 0.9, "difference": 0.8, "interval": [0.7, 0.85], "p_value": 0.0005}
ATTACK = "<script>alert(1)</script>"


def page_of(folder: Path, **entry) -> str:
    entries = [not_run(Path("00-first.ipynb")) | entry]
    return write_landing(folder, {"notebooks": entries, "seconds": 90.0}).read_text(encoding="utf-8")


def dead_links(folder: Path, page: Path) -> list[str]:
    """Targets that are not there: files beside the page, and places on it."""
    text = page.read_text(encoding="utf-8")
    ids = {*re.findall(r'id="([^"]+)"', text)}
    places = [
        target for target in re.findall(r'href="#([^"]+)"', text) if {target, unquote(target)}.isdisjoint(ids)
    ]
    return places + [name for name in links(text) if not (page.parent / name).resolve().is_file()]


def test_an_empty_folder_says_what_is_missing(tmp_path):
    page = page_of(tmp_path)
    assert "make electives로 실행하면" in page
    assert "아직 비교한 결과가 없습니다" in page and "실행 안 함" in page and links(page) == []


def test_the_verdict_comes_first_and_every_link_leads_somewhere(tmp_path):
    (tmp_path / "comparison.json").write_text(
        json.dumps({"n": 40, "n_groups": 8, "metrics": {"rougeL": DIFFERENCE, "bleu": DIFFERENCE}})
    )
    for name in (
        "comparison.html",
        "artifacts/quality_report.html",
        "rating/page-s1.html",
        "custom/checklist.html",
        "html/00-first.html",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "artifacts/adapter").mkdir()
    (tmp_path / "artifacts/adapter/README.md").write_text(
        f"---\nlicense: x\n---\n# 카드\n\n{ATTACK}", "utf-8"
    )
    rows = [
        {"date": "2026-11-21T18:00", "remark": ATTACK, "next": "에폭을 줄입니다", "metrics": {"rougeL": 0.5}},
        {"date": "2026-11-22T09:00"},
    ]
    lines = [*map(json.dumps, rows), '{"torn']
    (tmp_path / "experiments.jsonl").write_text("\n".join(lines), encoding="utf-8")
    page = page_of(tmp_path, status="failed", error={"heading": "제목", "message": ATTACK})
    assert page.index("튜닝한 모델이 베이스 모델보다 낫습니다") < page.index("실행한 노트북")
    assert page.index("2026-11-22") < page.index("2026-11-21") and "<td>–</td>" in page
    assert ATTACK not in page and "<script" not in page
    assert (
        "<th>다음 실험</th>" in page and "에폭을 줄입니다" in page and "<th>관찰</th>" not in page
    )  # nobody's
    assert {*links(page)} == {
        "comparison.html", "artifacts/quality_report.html", "rating/page-s1.html", "html/00-first.html", "model_card.html",
        "custom/checklist.html",
    }  # fmt: skip
    assert (
        dead_links(tmp_path, tmp_path / "index.html")
        == dead_links(tmp_path, tmp_path / "model_card.html")
        == []
    )
    assert ATTACK not in (tmp_path / "model_card.html").read_text(encoding="utf-8")
    site = tmp_path / "site"
    assert collect(tmp_path, site) == 7
    assert dead_links(site, site / "index.html") == dead_links(site, site / "model_card.html") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"n": 3, "metrics": {"unheard_of": {}}}'])
def test_a_broken_comparison_is_named_and_left_out(tmp_path, text):
    (tmp_path / "comparison.json").write_text(text)
    page = page_of(tmp_path)
    assert "comparison.json을 읽지 못했습니다" in page and "아직 비교한" not in page and "1.5분" in page


def test_executed_pages_lead_back_forth_and_to_their_sections(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("WORKSHOP_PROFILE", "tiny")
    paths = []
    for name in ("01-a", "02-b", "03-c"):
        cells = [
            nbformat.v4.new_markdown_cell(f"# {name}\n\n## 1. `코드`와 <b>&</b> 절"),
            nbformat.v4.new_code_cell("1 + 1"),
        ]
        paths.append(tmp_path / f"{name}.ipynb")
        nbformat.write(nbformat.v4.new_notebook(cells=cells), paths[-1])
    assert run.main([], notebooks=paths) == 0
    folder = tmp_path / "outputs" / "tiny"
    shown = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "html").glob("*.html")}
    assert 'href="02-b.html"' in shown["01-a"] and 'href="03-c.html"' in shown["02-b"]
    assert 'href="01-a.html"' in shown["02-b"] and 'href="04' not in shown["03-c"]
    for name in shown:
        assert dead_links(folder, folder / "html" / f"{name}.html") == []
    assert "절</a></li>" in shown["01-a"].replace("</b>", "")
    assert (
        dead_links(folder, folder / "index.html") == [] and (folder / "index.html").stat().st_size < 200_000
    )
