"""Near duplicates at scale: ``similar_pairs`` from 10,000 to 500,000 rows, beside brute force where that still runs.

``python -m benchmarks.near_duplicates`` measures every size and writes docs/benchmarks.md (a few minutes);
``python -m benchmarks.near_duplicates 10000 20000`` measures these sizes and only prints. Each size runs in a process
of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from random import Random

from benchmarks import machine, write_section
from src.data.similarity import similar_pairs
from src.data.text import text_key

SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
BRUTE_FORCE_UP_TO = 50_000
THRESHOLD = 0.9
PLANTED = 0.1  # share of rows that are made from an earlier one
WORDS = 20_000
_SYLLABLES = "가나다라마바사아자하거너더러머버서어저고노도로모보소오조구누두루무부수우주기니디리미비시이지한은인원전정상장성신공경"
_PARTICLES = ("은", "는", "이", "가", "을", "를", "의", "에서", "에", "로", "까지", "보다")
_ENDINGS = ("얼마인가요?", "무엇인가요?", "언제인가요?", "어디인가요?", "알려 주세요.", "어떻게 하나요?")
_GREETINGS = ("안녕하세요. ", "혹시 ", "저기, ", "문의드립니다. ")
_PRODUCTS = (
    "건조기",
    "세탁기",
    "에어컨",
    "정수기",
    "전기밥솥",
    "식기세척기",
    "로봇청소기",
    "안마의자",
    "선풍기",
)
_ASPECTS = (
    "소비 전력",
    "판매 가격",
    "작동 소음",
    "출시일",
    "색상",
    "무상 보증 기간",
    "반품 배송비",
    "청소 주기",
)


def make_rows(count: int, seed: int = 0) -> list[str]:
    """Half free questions of six to fourteen Korean-looking words, some of them very common (Zipf); half asked by
    one pattern ("도온 건조기 KD-4821의 소비 전력은 얼마인가요?"), alike without being the same. Every tenth row, on
    average, repeats an earlier one with a greeting, another ending, a changed character or other spaces."""
    rng = Random(seed)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(WORDS)]
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    pool = rng.choices(words, weights, k=10 * count)  # drawn once: choices with weights is slow to set up
    rows: list[str] = []
    for _ in range(count):
        if rows and rng.random() < PLANTED:
            rows.append(_nearly(rng.choice(rows), rng))
        elif rng.random() < 0.5:
            start = rng.randrange(len(pool) - 14)
            body = [word + rng.choice(_PARTICLES) for word in pool[start : start + rng.randint(6, 14)]]
            rows.append(" ".join([*body, rng.choice(_ENDINGS)]))
        else:
            name = "".join(rng.choices(_SYLLABLES, k=2))
            code = "".join(rng.choices("ABCDEFGHKLMN", k=2))
            product = f"{name} {rng.choice(_PRODUCTS)} {code}-{rng.randint(1000, 9999)}"
            rows.append(f"{product}의 {rng.choice(_ASPECTS)}은 {rng.choice(_ENDINGS)}")
    return rows


def _nearly(row: str, rng: Random) -> str:
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_GREETINGS) + row
    if kind == 1:
        return row.rsplit(" ", 1)[0] + " " + rng.choice(_ENDINGS)
    if kind == 2:
        place = rng.randrange(len(row))
        return row[:place] + rng.choice(_SYLLABLES) + row[place + 1 :]
    return row.replace(" ", "", 2) + "  "


def brute_force(texts: list[str], threshold: float = THRESHOLD, block: int = 500) -> set[tuple[int, int]]:
    """(later, earlier) of all texts at or above the threshold, each compared with each (sparse matrix products)."""
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    def grams(text: str) -> list[str]:
        key = text_key(text)
        return [key[i : i + 3] for i in range(len(key) - 2)] or [key]

    matrix = CountVectorizer(analyzer=grams, binary=True, dtype=np.int32).fit_transform(texts)
    sizes = np.asarray(matrix.sum(axis=1)).ravel()
    columns = matrix.T.tocsr()
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(texts), block):
        shared = (matrix[start : start + block] @ columns).tocoo()
        late, early = shared.row + start, shared.col
        alike = shared.data >= threshold * (sizes[late] + sizes[early] - shared.data)
        keep = alike & (early < late)
        pairs.update(zip(late[keep].tolist(), early[keep].tolist(), strict=True))
    return pairs


def recall(texts: list[str], pairs: list[tuple[int, int, float]], truth: set[tuple[int, int]]) -> float:
    """Share of the true pairs that ``pairs`` holds. Equal texts are named once, with the first of them, so both
    sides are counted between first ones."""
    first: dict[str, int] = {}
    leader = [first.setdefault(text_key(text), position) for position, text in enumerate(texts)]
    wanted = {(late, early) for late, early in truth if leader[late] == late and leader[early] == early}
    return len(wanted & {(late, early) for late, early, _ in pairs}) / len(wanted)


def measure(count: int) -> dict[str, float]:
    """One size: seconds, peak MiB, pairs, and the same by brute force up to ``BRUTE_FORCE_UP_TO``."""
    texts = make_rows(count)
    before = time.perf_counter()
    pairs = similar_pairs(texts, threshold=THRESHOLD)
    result = {"rows": count, "seconds": time.perf_counter() - before, "mib": _peak_mib(), "pairs": len(pairs)}
    if count <= BRUTE_FORCE_UP_TO:
        brute_force(texts[:2])  # loads the libraries, which is not what is timed
        before = time.perf_counter()
        truth = brute_force(texts)
        result |= {"brute_seconds": time.perf_counter() - before, "recall": recall(texts, pairs, truth)}
    return result


def _peak_mib() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere


def exponent(rows: list[float], seconds: list[float]) -> float:
    """b of the best fit seconds = a · rows^b."""
    import numpy as np

    return float(np.polyfit(np.log(rows), np.log(seconds), 1)[0])


def report(results: list[dict[str, float]]) -> str:
    """The section of docs/benchmarks.md."""
    lines = [
        "| 행 | similar_pairs | 최대 메모리 | 찾은 쌍 | 전수 비교 | 전수 비교 대비 재현율 |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for r in results:
        brute = f"{r['brute_seconds']:.1f}초 | {r['recall']:.2%}" if "recall" in r else "하지 않음 | –"
        lines.append(
            f"| {r['rows']:,} | {r['seconds']:.1f}초 | {r['mib']:,.0f}MiB | {r['pairs']:,} | {brute} |"
        )
    fits = [
        f"`similar_pairs`는 n^{exponent([r['rows'] for r in results], [r['seconds'] for r in results]):.2f}"
    ]
    brute = [r for r in results if "recall" in r]
    if len(brute) > 1:
        fits.append(
            f"전수 비교는 n^{exponent([r['rows'] for r in brute], [r['brute_seconds'] for r in brute]):.2f}"
        )
    return "\n".join(
        [
            "## 근사 중복",
            "",
            f"만들어 낸 한국어 꼴의 질문에서 글자 3-gram의 자카드 유사도가 {THRESHOLD} 이상인 쌍을 찾습니다. "
            "절반은 자유로운 글, 절반은 제품명과 항목만 바꾼 틀에 박힌 글입니다. "
            f"행의 {PLANTED:.0%}는 앞의 행에 인사말을 붙이거나 끝말, 글자 하나, 띄어쓰기를 바꾼 것입니다. "
            "전수 비교는 모든 쌍의 겹침을 희소 행렬의 곱으로 정확히 셉니다. "
            "다시 재려면 `.venv/bin/python -m benchmarks.near_duplicates`를 실행합니다.",
            "",
            *lines,
            "",
            f"걸린 시간을 행 수 n의 거듭제곱으로 맞추면 {', '.join(fits)}에 비례합니다. "
            "찾은 쌍의 유사도는 모두 다시 정확히 세므로 잘못 찾은 쌍은 없고, 놓치는 쌍만 있을 수 있습니다. "
            "메모리는 행을 만들어 둔 것까지 그 과정 전체의 최댓값입니다.",
            "",
            machine("rensa", "scikit-learn"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, help="행 수; 없으면 모두 재고 문서에 씁니다")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # what a process of its own is asked
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    results = []
    for size in arguments.sizes or SIZES:
        command = [sys.executable, "-m", "benchmarks.near_duplicates", "--one", str(size)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results.append(json.loads(output.splitlines()[-1]))
        print(results[-1], flush=True)
    text = report(results)
    if arguments.sizes:
        print(text)
    else:
        write_section("near-duplicates", text)


if __name__ == "__main__":
    main()
