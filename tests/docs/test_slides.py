"""``docs/slides.md`` has a row for every slide, and every link of it and of ``docs/projects.md`` ends at a heading."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from src.profiles import ROOT

PAGES = [ROOT / "docs" / name for name in ("slides.md", "projects.md")]
# The slides carry no numbers: this is their order and what stands at the head of each.
SLIDES = """\
QLoRA 파인튜닝 워크숍
왜 파인튜닝이 필요할까요?
오늘의 학습 여정
실습 환경 준비사항
데이터 이해하기
데이터셋 탐색
RAFT 포맷이란?
RAFT 워크플로우 설명
RAFT 포맷의 실제 예시
RAFT 포맷의 핵심 구성 요소
데이터 전처리 흐름
전처리 실습
스키마 검증 절차
RAFT 템플릿 변환 코드
데이터 품질 체크 포인트
LoRA 핵심 개념
LoRA vs 전체 파인튜닝
LoRA의 수학적 원리
QLoRA: 양자화와 LoRA의 결합
왜 4bit 양자화를 사용할까?
LoRA 주요 하이퍼파라미터
파인튜닝 워크플로우
1단계: 모델 및 토크나이저 로드
2단계: LoRA 어댑터 적용
3단계: Trainer 설정
주요 학습 하이퍼파라미터 해설
4단계: 학습 실행
5단계: 모델 저장 및 Hugging Face Hub 업로드
모델 로드 및 추론 예시
평가 및 해석
평가 지표 개요
ROUGE 점수 상세 설명
BLEU 점수 이해하기
BLEU vs ROUGE 예시: 초보자를 위한 비교
Cosine Similarity로 의미 평가하기
파인튜닝 전후 비교 결과
샘플 예측 비교
평가 결과 해석 및 토론 질문
커스텀 확장
나만의 데이터셋 선택하기
데이터 준비 체크리스트
실험 기록 방법
하이퍼파라미터 튜닝 전략
다음 단계 아이디어
커스텀 프로젝트 예시
전체 흐름 요약
Day 1 워크숍 전체 여정
핵심 개념 복습
실무 적용 시 주의사항
트러블슈팅 가이드
Q&A: 자주 묻는 질문
더 많은 Q&A
성공적인 파인튜닝을 위한 체크리스트
""".splitlines()


def rows() -> list[list[str]]:
    lines = re.findall(r"(?m)^\| \d+ \|.*", PAGES[0].read_text(encoding="utf-8"))
    return [line.strip("| ").split(" | ") for line in lines]


def links(page: Path) -> list[tuple[str, str]]:
    """(text, target) of the page's links, those by a reference resolved."""
    text = page.read_text(encoding="utf-8")
    defined = dict(re.findall(r"(?m)^\[([^\]]+)\]: (\S+)$", text))
    used = re.findall(r"\[([^\]]+)\]\[([^\]]+)\]", text)
    assert {name for _, name in used} == set(defined), "a reference without its address, or an unused one"
    return [(label, defined[name]) for label, name in used] + re.findall(
        r"\[([^\]]+)\]\((?!https?:)([^)]+)\)", text
    )


def headings(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"(?m)^#+ (.+)$", text)


def anchor(heading: str, path: Path) -> str:
    """As Jupyter names a heading of a notebook, and GitHub one of a page."""
    if path.suffix == ".ipynb":
        return heading.replace("`", "").replace(" ", "-")
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_slide_has_its_row():
    assert [(int(number), title) for number, title, *_ in rows()] == list(enumerate(SLIDES, start=1))
    for number, title, says, where, differs in rows():
        assert says.strip() and differs.strip(), title
        assert "][" in where, f"{number}. {title} leads nowhere"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_link_ends_at_a_heading(page):
    found = links(page)
    assert len(found) > 10
    for label, target in found:
        address, _, fragment = target.partition("#")
        path = (page.parent / address).resolve() if address else page
        assert path.exists(), target
        names = {anchor(heading, path): heading for heading in headings(path)}
        assert not fragment or unquote(fragment) in names, f"{label}: {target}"
        if section := re.search(r"^0\S+의 ([\d.]+)(절|단계)$", label):
            assert re.match(rf"{re.escape(section[1])}(?:\.|단계\.)? ", names[unquote(fragment)]), label
            assert path.stem.startswith(label.split("의")[0]), label


def test_anchors_are_those_of_jupyter_and_github():
    assert anchor("5.2 `x=1`의 값: 왜?", Path("a.ipynb")) == "5.2-x=1의-값:-왜?"
    assert anchor("방법 고르기 (`r`)?", Path("a.md")) == "방법-고르기-r"


def test_the_records_shown_for_each_project_are_read(tmp_path):
    from src.data import load_conversations, load_samples, validate_samples

    shown = re.findall(r"```json\n(.*?)\n```", PAGES[1].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(shown) == 4
    for number, line in enumerate(shown):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(line, encoding="utf-8")
        read = load_conversations(path) if '"instruction"' in line else validate_samples(load_samples(path))
        assert [len(rows) for rows in read] == [1, 0], line
        assert read[0][0].group_id in line
