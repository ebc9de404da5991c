"""The texts whose numbers ``test_numbers.py`` reads, the rules for what it leaves aside, and the code's own numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import nbformat

from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.profiles import PROFILES, ROOT
from src.qlora import memory
from src.qlora.registry import MODELS, model_shape

DOCS = ("faq", "glossary", "instructor", "projects", "slides", "troubleshooting", "multi_gpu", "serving")
FILES = {"README": ROOT / "README.md", "data": ROOT / "data" / "README.md"}
FILES |= {name: ROOT / "docs" / f"{name}.md" for name in DOCS}
FILES |= {name: ROOT / "data" / "tiny" / name / "README.md" for name in ("base", "embedder")}
LESSONS = {re.split("[_-]", path.stem)[0]: path for path in [*NOTEBOOKS, *ELECTIVES]}
FILES |= LESSONS

ONES = dict(zip(("한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉"), range(1, 10), strict=True))
WORDS = ONES | {"열": 10, "스무": 20, "서른": 30} | {f"열{word}": 10 + n for word, n in ONES.items()}
# Small numbers in words are language ("두 가지 생각"); from four on they count something.
COUNTED = "|".join(sorted((word for word, n in WORDS.items() if n > 3), key=len, reverse=True))
NUMBER = re.compile(
    r"[-−]?\d[\d,.]*(?<![,.])"
    rf"|(?<![가-힣])(?:{COUNTED}) (?:개|가지|갈래|배|항목|번|건|행|쌍|쪽|줄|층|단계|명|사람|분|시간)"
    r"|(?<![\w)])[일이삼사오육칠팔구십백천만]*[십백천만] ?(?:개|가지|배|건|행|명|분|시간)"
)
BLOCKS = (
    r"\A---\n.*?\n---\n",
    r"```.*?```",
    r"<!-- (times|sheet|electives|room): begin -->.*?<!-- \1: end -->",  # tables of a measurement or of a plan that tests read
    r"(?m:^)[^\n]*(?:잰 곳|시험한 버전): [^\n]*",  # a measurement's own record
    r"(?m:^)#+ (?:실습|9\. 마무리 퀴즈).*?(?=\n\n\0|\n#|\Z)",  # src/classroom/exercises knows the answers
    r"<details><summary>정답 보기.*?</details>",
    r"\]\([^)\n]*\)|\]\[[^\]\n]*\]|(?m:^)\[[^\]\n]+\]: [^\n]*",  # where a link leads
)
ASIDE = (
    r"\0\d+\0|`(?![^`\n]*[a-z>]=\d)[^`\n]*`",  # but a setting in code is a setting
    r"\"[^\"\n]*\"|'[^'\n]*'",  # somebody's words, or an example
    r"(?m:^)#+ \d+(?:\.\d+)*(?:\.|단계\.)? |(?m:^)\d\. |(?m:^)\| \d+ (?=\|)",  # a heading's or a list's own number
    r"(?<!\d)0[0-5](?:\.01)?(?!\d)|(?<!\d)[12]\d번 노트북|노트북 [12]\d(?!\d)|FROM=10|(?m:^)\| (?:1\d|20)(?= \|)",  # notebooks
    r"\d+(?:\.\d+)?(?:[–-]\d+(?:\.\d+)?)?(?:절|단계|장(?=[의이에]))|\d\.\d(?=에서|처럼)|(?:실습|토론|질문) \d",
    r"arXiv \d{4}\.\d{5}|§\d(?:\.\d)*|\((?:[A-Z]\w+ )?(?:19|20)\d\d\)",
    r"(?:rtx|RTX )4090|\b[tT]4(?!\d)|EXAONE[ -]\d\.[\dx](?: · \d\.\d|-[\d.]+B)?|Kanana \d\.\d|Qwen\d|KorQuAD 1\.0|-e5-",
    r"Apache-2\.0|CC BY(?:-ND|-SA)? \d\.\d|License (?:Agreement )?\d\.\d|OFL \d\.\d",
    r"(?:ROUGE|BLEU)-\d|chrF2|\bF1|BM25|\bp95|(?i:nf4)|FP4|INT4|NormalFloat4|\b4-bit|(?<![\d.])(?:4|8|16|32)비트",
    r"\b(?:bf|fp)(?:16|32)|AVX512-BF16|(?i:utf-8|cp949)|U\+[0-9A-F]{4}|MurmurHash3|WSL2",
    r"제\d+(?:조(?:의\d+)?|항)|\bOpinion \d+/\d{4}",  # laws and their commentaries
    r"(?<![\w.,/–-])[01](?![\d/만판gG]|[.,]\d|[ -]?[%배번초분시건개행])",  # bounds and ideals, no counts
)


@cache
def prose(page: str) -> str:
    """The page without ``BLOCKS``; of a notebook the markdown cells, each after its index between two ``\\0``."""
    text = FILES[page].read_text(encoding="utf-8")
    if page in LESSONS:
        cells = enumerate(nbformat.reads(text, as_version=4).cells)
        text = "\n\n".join(f"\0{i}\0\n{cell.source}" for i, cell in cells if cell.cell_type == "markdown")
    return blank(text, BLOCKS)


def blank(text: str, patterns: Iterable[str]) -> str:
    for pattern in patterns:
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    return text


def numbers(text: str) -> list[re.Match[str]]:
    return list(NUMBER.finditer(blank(text, ASIDE)))


@cache
def source(path: str) -> str:
    """A file's text, or the code cells of the notebook with that number."""
    if path not in LESSONS:
        return (ROOT / path).read_text(encoding="utf-8")
    cells = nbformat.read(LESSONS[path], as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def of(path: str, *patterns: str) -> Callable[[], list[float]]:
    """The numbers in the groups of ``patterns``, from ``source(path)``."""

    def read() -> list[float]:
        groups = [group for p in patterns for group in re.search(p, source(path), re.MULTILINE).groups()]
        return [float(group.replace("_", "")) for group in groups]

    return read


def listed(page: str, phrase: str) -> Callable[[], int]:
    """Items of the first list, or rows of the first table, after ``phrase``."""

    def count() -> int:
        block = re.search(r"(?:^(?:\d\. |- |\|).*\n?)+", prose(page).split(phrase, 1)[1], re.MULTILINE)[0]
        return len(block.splitlines()) - 2 * block.startswith("|")

    return count


TINY, BIG = PROFILES["tiny"], PROFILES["rtx4090"]
SHAPE, BIG_SHAPE = model_shape(MODELS[TINY.model]), model_shape(MODELS[BIG.model])
HELD = json.loads((ROOT / "data/tiny/embedder/0_CharNgramTfidf/config.json").read_text(encoding="utf-8"))


def card() -> int:
    """GB of the smallest graphics card sold that the rtx4090 profile leaves a quarter of: no card has been measured."""
    need = memory.needed_vram(BIG)[1]
    return next(size for size in (8, 12, 16, 24, 32, 48, 80) if need <= 0.75 * size)


@cache
def stored():
    """The state of a double-quantized NF4 matrix, as bitsandbytes keeps it."""
    import bitsandbytes.functional as bf
    import torch

    torch.manual_seed(0)
    return bf.quantize_4bit(torch.randn(64, 256), quant_type="nf4", compress_statistics=True)[1]


def constants() -> tuple[int, int, int]:
    """Bits a constant, constants that share a second one, bits of that."""
    return 8 * stored().absmax.itemsize, stored().state2.blocksize, 8 * stored().state2.absmax.itemsize


def lora(shape) -> int:
    return shape.layers * sum(
        memory.lora_parameter_count(*d_k, BIG.lora_r) for d_k in shape.linear_sizes.values()
    )


def bytes_of(term: str) -> float:
    """What the estimate counts for one LoRA parameter."""
    return memory.estimate_vram(BIG)[term] * memory.GIB / lora(BIG_SHAPE)


def bytes_of_weights() -> list[float]:
    """Bytes a weight in 16 bit, twice; of 4-bit linear layers; of all else: solved from estimates for two models."""
    import numpy as np

    two = [BIG, replace(BIG, model="qwen3-0.6b")]
    shapes = [model_shape(MODELS[profile.model]) for profile in two]
    weights = [memory.estimate_vram(profile)["weights"] * memory.GIB for profile in two]
    plain = memory.estimate_vram(BIG, quantized=False)["weights"] * memory.GIB / BIG_SHAPE.parameters
    return [
        plain,
        plain,
        *np.linalg.solve([(s.linear_parameters, s.other_parameters) for s in shapes], weights),
    ]


def share_of_lora() -> float:
    """% of the parameters, rounded up, at most, in the models on offer with billions of them."""
    shapes = [model_shape(spec) for spec in MODELS.values() if not spec.local]
    return math.ceil(max(100 * lora(s) / s.parameters for s in shapes if s.parameters > 2e9))


def fewer_numbers() -> tuple[int, int]:
    d, k, r = map(int, of("00", r"d, k, r = (\d+), (\d+), (\d+)")())
    return d * k // 10**6 * 100, r * (d + k) // 10**4


def ratios(path: str, pattern: str) -> list[float]:
    first, *rest = of(path, pattern)()
    return [n / first for n in (first, *rest)]


def bleu_ends() -> list[float]:
    from src.scoring.bleu import compute_bleu

    texts = ["물통을 헹구고 그늘에 두세요"]
    return [compute_bleu([answer], texts)["bleu"] for answer in ("", *texts)]


def ngram_order() -> int:
    from sacrebleu.metrics.bleu import MAX_NGRAM_ORDER

    return MAX_NGRAM_ORDER
