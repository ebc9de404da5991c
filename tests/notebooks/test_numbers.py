"""Every number in the notebooks' text, the README, the docs and the cards is the one that the code has or produced.

What states nothing of ours (names, references, quotations, an exercise's own numbers) is set aside by the rules of
``prose_numbers.py``. Every number that is left is met by a line of ``CLAIMS`` or of ``GIVEN``; there is no third way.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable

import pytest
from prose_numbers import (
    BIG,
    BIG_SHAPE,
    FILES,
    HELD,
    LESSONS,
    SHAPE,
    TINY,
    WORDS,
    bleu_ends,
    bytes_of,
    bytes_of_weights,
    card,
    constants,
    fewer_numbers,
    listed,
    ngram_order,
    numbers,
    of,
    prose,
    ratios,
    share_of_lora,
    source,
    stored,
)

from benchmarks import near_duplicates
from data.build import embedder
from src.classroom.drills import DRILLS
from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.data import NLI, similarity
from src.evaluation import resampling, results
from src.experiments.checklist import RECOMMENDED_ROWS
from src.experiments.golden_only import golden_only_profile
from src.profiles import ROOT
from src.qlora import adapters as qlora
from src.training.labels import IGNORE

# The pages ("*": any), a pattern whose groups are the numbers, and what they must be: computed here, or by the test named.
# fmt: off
CLAIMS: list[tuple[str, str, Callable | str]] = [
    ("*", r"(\d+)% 구간", lambda: 100 * resampling.LEVEL),
    ("*", r"(-\d{3})", lambda: IGNORE),
    ("*", r"(\d\.\d)B 모델", lambda: BIG_SHAPE.parameters / 1e9),
    ("*", r"Python (?:≥ )?(3\.\d+)", of("pyproject.toml", r'requires-python = ">=(.*)"')),
    ("README faq multi_gpu", r"(\d+) ?GB (?:GPU|카드|한 장)", card),
    ("README", r"약 (\d+)백만 파라미터|약 (\d+)GB를 내려받", "docs/test_prose.py::test_readme_numbers"),
    ("README", r"(\d+) M-parameter", lambda: SHAPE.parameters / 1e6),
    ("faq", r"r=(\d+), alpha=(\d+)|연산 능력 (\d\.\d)", "docs/test_docs.py::test_numbers_that_state_a_setting"),
    ("faq", r"적어도 (\d+)건을 권하고", lambda: RECOMMENDED_ROWS),
    ("faq", r"(네) 가지를 조심하세요", listed("faq", "네 가지를 조심하세요.\n\n")),
    ("glossary", r"이 워크숍에서는 (\d+)%", lambda: 100 * resampling.LEVEL),
    ("instructor", r"(09):(00)부터 (18):(00)|빼면 (\d+)분", "docs/test_docs.py::test_the_run_sheet_fills_the_day_and_has_time_for_every_notebook"),
    ("troubleshooting", r"(\d+)분의 1로 줄이고", of("src/training/diagnosis.py", r"큽니다\. (\d+)분의 1로")),
    ("troubleshooting", r"(\d+)배를 권합니다", of("src/training/diagnosis.py", r"(\d+)배로 올려")),
    ("multi_gpu", r"(\d)% 안에서", lambda: 100 * float(re.search(r"rel=(0\.\d+)\)", (ROOT / "tests/training/test_distributed.py").read_text())[1])),
    ("serving", r"127\.0\.0\.1:(\d+)", of("configs/jupyterhub_config.py", r"127\.0\.0\.1:(\d+)")),
    ("serving", r"(열) 명씩", of("configs/jupyterhub_config.py", r"concurrent_spawn_limit = (\d+)")),
    ("serving", r"노트북 (일곱) 개", lambda: len(NOTEBOOKS)),
    ("serving", r"메모리 (\d+)GiB \||코어 (\d+)개 \| 약 (\d+)분|혼자면 약 (\d+)분", "classroom/test_jupyterhub.py::test_what_thirty_need_is_what_one_was_measured_to_need"),
    ("serving", r"(\d+)시간 동안", "classroom/test_jupyterhub.py::test_the_page_says_what_the_configuration_does"),
    ("serving", r"(네) 가지입니다", listed("serving", "네 가지입니다")),
    ("data", r"^\| (?:문서|문답|제품|심어 둔 결함) \| ([\d,]+)|^\| `\w+` \| (\d+)", "data/test_corpus.py::test_card_tells_the_numbers"),
    ("base", r"(\d)층, 은닉 (\d+), 헤드 (\d)\(키·값 (\d)\)", lambda: (SHAPE.layers, SHAPE.hidden, SHAPE.heads, SHAPE.kv_heads)),
    ("base", r"파라미터 \| ([\d,]+)", lambda: SHAPE.parameters),
    ("base", r"BPE ([\d,]+)개", lambda: SHAPE.vocab),
    ("base", r"문서 (세) 개에서 (다섯) 개를 읽고 (\d+)개의", of("tests/qlora/test_tiny_base.py", r"^UNSEEN = .*\((\d), (\d)\)", r"UNSEEN\) for _ in range\((\d+)\)")),
    ("base", r"(?:bf16|nf4) \| ([\d.]+) %", "qlora/test_tiny_base.py::test_card_tells_what_is_measured"),
    ("base", r"문서를 (네) 개까지", of("data/build/base_model.py", r"^STAGES = \(\n.*\n    Stage\(\d+, \(\d, (\d)\)")),
    ("base", r"뒤의 (세) 단계", lambda: source("data/build/base_model.py").count("fresh=True")),
    ("embedder", r"(\d)–(\d)(?:글자|-gram)", lambda: (HELD["ngram_min"], HELD["ngram_max"])),
    ("embedder", r"([\d,]+)칸에", lambda: HELD["n_features"]),
    ("embedder", r"서로 다른 ([\d,]+)개", lambda: len(embedder.corpus_texts())),
    (" ".join(LESSONS), r"예상 시간.*약 (\d+)분", "notebooks/test_numbers.py::test_expected_times_are_the_measured_ones"),
    ("00.01 00", r"(\d)분의 1로 줄", lambda: 16 / 4),
    ("00", r"(\d+) × (\d+) 행렬에서", of("00", r"d, k, r = (\d+), (\d+)")),
    ("00", r"([\d,]+)만 개가 넘는 숫자가 (\d)만여", fewer_numbers),
    ("00", r"r=(\d)로는 오차가", of("00", r"r=(\d)의 오차")),
    ("00", r"r=(\d)은 같은", of("00", r"for r in \((\d+), \d+\):\n    student")),
    ("00", r"r=(\d+)은 훨씬", of("00", r"for r in \(\d+, (\d+)\):\n    student")),
    ("00", r"r을 (\d+)에 두고", of("00", r"^show_alpha\((\d+), 8")),
    ("00", r"alpha / r을 (\d)로 두라는", lambda: BIG.lora_alpha / BIG.lora_r),
    ("00", r"(\d+)가지밖에|(열여섯) 개", lambda: len(stored().code)),
    ("00", r"양수 쪽 (여덟) 개, 음수 쪽 (일곱) 개", lambda: ((stored().code > 0).sum(), (stored().code < 0).sum())),
    ("00", r"눈금은 (-\d)에서 (\d) 사이", lambda: (stored().code.min(), stored().code.max())),
    ("00", r"최댓값을 (\d)로 놓고", of("00", r"keepdim=True\) / (\d)")),
    ("00", r"(\d+)개씩|가중치 (\d+)개를 한 블록|블록 (\d+)는", lambda: stored().blocksize),
    ("00", r"하나에 ([\d.]+)비트를 더", lambda: 32 / stored().blocksize),
    ("00", r"가중치 (\d+)개 가운데 하나를 표준편차의 (열다섯) 배", of("00", r"bar\(range\((\d+)\)", r"spiky\[100\] = (\d+)")),
    ("00", r"크면 (\d+)개가", of("00", r"bar\(range\((\d+)\)")),
    ("00", r"다시 (\d)비트로 저장하고, 상수 (\d+)개마다 (\d+)비트", constants),
    ("00", r"상수이고 (\d)비트|상수를 (\d)비트로 줄", lambda: constants()[0]),
    ("00", r"P × (\d)바이트 \| P × (\d)바이트 \| 선형 층 × ([\d.]+)바이트 \+ 나머지 × (\d)바이트", bytes_of_weights),
    ("00", r"– \| L × (\d)바이트 \| L × (\d)바이트", lambda: bytes_of("adapters")),
    ("00", r"하나 \| P × (\d)바이트", of("00", r'"gradients": (\d)')),
    ("00", r"하나 \| P × \d바이트 \| L × (\d)바이트 \| L × (\d)바이트", lambda: bytes_of("gradients")),
    ("00", r"P × \((\d) \+ (\d) \+ (\d)\)바이트", of("00", r'"optimizer": (\d) \+ (\d) \+ (\d)')),
    ("00", r"L × (\d)바이트\(8비트 Adam", lambda: bytes_of("optimizer")),
    ("00 slides", r"(\d), (\d), (\d)비트(?:로|를)", of("00", *(rf'"{n}비트\([^)]+\)": \((\d)' for n in (2, 4, 8)))),
    ("00", r"(\d)비트보다 정확|(?:씁니다\. |여기의 )(\d)비트는", of("00", r'"2비트\([^)]+\)": \((\d)')),
    ("00", r"대개 8이나 16 \| (\d+) \|", lambda: BIG.lora_r),
    ("00", r"큰 프로파일은 (0\.\d+)", lambda: BIG.lora_dropout),
    ("00", r"(네) 갈래", lambda: len(re.findall(r'(?m)^    ".*": \(.*\),$', source("00").split("methods = {")[1].split("}")[0]))),
    ("00", r"(\d+)%(?: 절약이|인가)", lambda: 100 * (1 - 4 / 16)),
    ("00 03", r"어텐션\(attention\)의 (네) 층", lambda: re.search(r"attention, mlp = \[(.*?)\]", source("00"))[1].count("_proj")),
    ("00 03", r"설정은 (네) 줄|필드가 (네) 개", lambda: len(re.findall(r"(?m)^ +\w+=", inspect.getsource(qlora.build_bnb_config)))),
    ("01", r"행이 (\d+)배인", lambda: ratios("01", r"for count in \((\d+), (\d+)\)")[1]),
    ("01", r"방해 문서를 (\d)개로", of("01", r'share, "num_distractors": (\d)')),
    ("02", r"(\d+)백분위수", of("src/quality/cleaning.py", r"percentile\(lengths, (\d+)\)")),
    ("02", r"(네) 쌍", lambda: len(re.findall(r'(?m)^    "[A-Z]": \(', source("02")))),
    ("02", r"숫자 (\d+)개입니다", lambda: {similarity.NUM_PERM, *of("02", r"length=(\d+)")()}),
    ("02", r"(\d+)만 행부터 (\d+)만 행까지", lambda: [near_duplicates.SIZES[i] / 1e4 for i in (0, -1)]),
    ("02", r"(\d+)만 행이라면", lambda: of("02", r"^rows = ([\d_]+)")()[0] / 1e4),
    ("02", r"작은 (\d+)의 배수", of("src/quality/cleaning.py", r"ceil.* \* (\d+),")),
    ("02", r"(\d+)건쯤 읽어서는", of("02", r"answerable\], (\d+), profile.seed")),
    ("03", r"bf16에 견주면 정확히 (1)/(\d), fp32에 견주면 (1)/(\d)", lambda: (1, 16 / 4, 1, 32 / 4)),
    ("03", r"보통 (\d)%가", share_of_lora),
    ("03", r"BLEU\((\d)–(\d+),", bleu_ends),
    ("03", r"레코드를 (\d)배, (\d)배, (\d+)배로", lambda: ratios("03", r"counts = \[(\d+), (\d+), (\d+)\]")),
    ("03", r"warmup_(?:ratio|steps)=(0\.\d+)", lambda: BIG.warmup_ratio),
    ("03", r"큰 프로파일에서 (\d+)스텝", lambda: BIG.eval_steps),
    ("03", r"(아홉) 가지", lambda: len(DRILLS)),
    ("03", r"학습률 × (\d+)과 ÷ (\d+)", of("src/classroom/drills.py", r"_rate\((\d+),", r"_rate\(1 / (\d+),")),
    ("04", r"(스무) 번에 한 번", lambda: 1 / (1 - resampling.LEVEL)),
    ("04", r"토큰 (네) 개|토큰이 (네) 개|(\d)-gram이", ngram_order),
    ("04", r"방해 문서 (\d)개, 골든 문서를 남기는 비율 P = (\d)", lambda: (golden_only_profile(TINY).num_distractors, golden_only_profile(TINY).golden_probability)),
    ("04", r"p값이 (0\.\d+) 이하", lambda: results.ALPHA),
    ("04", r"눈금의 (\d+)%", lambda: 100 * results.PERCENT_FLOOR),
    ("04", r"(네) 가지를 더", listed("04", "네 가지를 더")),
    ("04", r"(네) 가지가 필요", listed("04", "네 가지가 필요")),
    ("05", r"(다섯) 단계가", lambda: len(re.findall(r"(?m)^## \d단계\. (?!고장)", prose("03")))),
    ("05", r"gradio>=([\d.]+),<(\d)", of("src/classroom/chat.py", r"gradio>=([\d.]+),<(\d)")),
    ("10", r"(0) 함의, (1) 중립, (2) 모순", lambda: [NLI.index(name) for name in ("함의", "중립", "모순")]),
    ("10", r"(다섯) 가지를 같은", listed("10", "다섯 가지를 같은")),
    ("10", r"\((\d+)은 상한", of("10", r'"epochs": (\d+), "patience"')),
    ("11", r"(다섯) (?:번|배)", lambda: of("11", r"plain \* (\d)")()[0] + 1),
    ("13", r"(다섯) (?:개|줄)", of("13", r"values\(\)\]\[:(\d)\]")),
    ("projects", r"(네) 가지 프로젝트", lambda: len(re.findall(r"(?m)^## ", prose("projects")))),
    ("05 slides", r"(여섯) 항목", lambda: len(set(re.findall(r'"(\d)\. ', source("src/experiments/checklist.py"))))),
]
# Numbers that are not ours: the page, the phrase, and who says so in the same paragraph ("": an example, arithmetic or advice).
GIVEN: list[tuple[str, str, str]] = [
    ("troubleshooting", "2–5배", "슬라이드"),
    ("slides", "왜 4bit 양자화를", "슬라이드"),
    ("faq", "32~64로", "슬라이드"),
    ("serving", "서른 명", ""),
    ("serving", "96GiB, 코어는 16개쯤을 권하고", ""),
    ("instructor", "데이터가 100건뿐", ""),
    ("05", "데이터가 100건뿐", ""),
    ("05", "100건으로는", ""),
    ("00", "99%대로", "QLoRA 논문"),
    ("00", "4에서 64 사이, 대개 8이나 16", "슬라이드"),
    ("00", "0.05, 데이터가 적으면 0.1", "슬라이드"),
    ("01", "방해 문서 네 개를 기본으로", "RAFT 논문"),
    ("02", "행이 두 배일 때 일은 네 배", ""),
    ("02", "크기는 네 배가", ""),
    ("01", "80:20이나 90:10", "슬라이드"),
    ("03", "0.1쯤", "슬라이드"),
    ("03", "3~5 에폭", "슬라이드"),
    ("03", "500스텝", "슬라이드"),
    ("03", "warmup_steps=100", "슬라이드"),
    ("03", "temperature=0.7", "슬라이드"),
    ("04", "BLEU가 30을 넘으면 양호, 50을 넘으면 우수", "슬라이드"),
    ("04", "질문이 네 배가 되어야 폭이 절반", ""),
    ("04", "Spearman × 100", "인용"),
    ("04", "논문은 7B 모델", "논문"),
    ("10", ".624, 이어 붙인 쪽이 .534, 학습 시간은 1,269초와 355초", "수강생의 공개된 기록"),
    ("10", "모르면 0.5", ""),
]
# fmt: on


def value(shown: str) -> float:
    return WORDS[shown] if shown in WORDS else float(shown.replace(",", "").replace("−", "-"))


def pages(names: str) -> list[str]:
    return list(FILES) if names == "*" else names.split()


def place(page: str, position: int) -> str:
    before = prose(page)[:position]
    cells = re.findall(r"\0(\d+)\0", before)
    return f"{FILES[page].relative_to(ROOT)}, " + (
        f"cell {cells[-1]}" if cells else f"line {before.count(chr(10)) + 1}"
    )


@pytest.mark.parametrize("names, pattern, expected", CLAIMS, ids=[names for names, *_ in CLAIMS])
def test_a_claim_is_what_the_code_says(names, pattern, expected):
    matches = [(page, m) for page in pages(names) for m in re.finditer(pattern, prose(page), re.MULTILINE)]
    said = {page for page, _ in matches}
    assert said if names == "*" else said == set(pages(names)), (
        "says nothing any more: take the line out of CLAIMS"
    )
    if isinstance(expected, str):
        file, test = expected.split("::")
        assert f"def {test}(" in source(f"tests/{file}")
        return
    computed = expected()
    for page, match in matches:
        shown = [group for group in match.groups() if group]
        right = [*computed] if isinstance(computed, Iterable) else [computed] * len(shown)
        digits = [len(group.partition(".")[2]) for group in shown]
        assert [value(group) for group in shown] == [
            round(float(n), d) for n, d in zip(right, digits, strict=True)
        ], f"{place(page, match.start())}: {match[0]}"


@pytest.mark.parametrize("page, phrase, said_by", GIVEN, ids=[page for page, *_ in GIVEN])
def test_what_is_not_ours_says_whose_it_is(page, phrase, said_by):
    found = [part for part in prose(page).split("\n\n") if phrase in part]
    assert found, "says nothing any more: take the line out of GIVEN"
    assert all(said_by in part for part in found), (
        f"{phrase}: the paragraph does not say that it is {said_by}"
    )


@pytest.mark.parametrize("page", FILES)
def test_no_number_is_nobodys(page):
    text = prose(page)
    patterns = [pattern for names, pattern, _ in CLAIMS if page in pages(names)]
    patterns += [f"({re.escape(phrase)})" for where, phrase, _ in GIVEN if where == page]
    matches = [m for pattern in patterns for m in re.finditer(pattern, text, re.MULTILINE)]
    met = [m.span(i) for m in matches for i in range(1, len(m.groups()) + 1)]
    left = [
        f"{place(page, n.start())}: {text[max(n.start() - 20, 0) : n.end() + 15]!r}"
        for n in numbers(text)
        if not any(start < n.end() and n.start() < end for start, end in met)
    ]
    assert not left, (
        "say it without a number, point at the output, or add a line to CLAIMS or GIVEN:\n" + "\n".join(left)
    )


def test_expected_times_are_the_measured_ones():
    day, electives = source("docs/instructor.md").split("<!-- electives: begin -->")
    seconds = dict(re.findall(r"^\| `([\w.-]+)` \| (\d+) \|", day, re.MULTILINE))
    assert list(seconds) == [path.stem for path in NOTEBOOKS]
    after = dict(re.findall(r"^\| `([\w.-]+)` \| \d+ \| (\d+) \|", electives, re.MULTILINE))
    assert list(after) == [path.stem for path in ELECTIVES]
    seconds |= after
    for page, path in LESSONS.items():
        minutes = int(re.search(r"\*\*예상 시간\*\*: tiny.*?약 (\d+)분", prose(page))[1])
        measured = int(seconds[path.stem])
        assert abs(60 * minutes - max(measured, 60)) <= 45, (
            f"{path.stem}: 약 {minutes}분, measured {measured} s"
        )


def test_numbers_are_found_and_names_are_not():
    text = (
        "블록 64, 1,600만 개, 95%, 4분의 1, -100, 열여섯 개, 천육백만 개, 십 분, 0.5비트, 1만 행, `r=8`\n"
        "03번 노트북의 3.4절, 실습 2, `pad_8`, NF4, 4비트, ROUGE-1, arXiv 2305.14314 §3, EXAONE-3.0-7.8B, 0이면"
    )
    found = [m[0] for m in numbers(text)]
    assert found == ["64", "1,600", "95", "4", "-100", "열여섯 개", "천육백만 개", "십 분", "0.5", "1", "8"]
