"""What products there are, and which figures are likely for each type: no rice cooker of 481 litres."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

COMPANY = "새온가전"
Value = Callable[[Random, str], str]  # of a product, by its full name
Range = tuple[float, float, float]  # from, to, step


@dataclass(frozen=True)
class Type:
    """Ranges for one type of product; None or a missing key where the type has no such thing."""

    code: str
    power: Range
    weight: Range
    price: tuple[int, int]  # in thousand won
    noise: Range | None
    capacity: tuple[float, float, float, str] | None = None
    running: tuple[float, float, float, str] | None = None  # how long it may run
    washing: Range | None = None  # degrees
    has_filter: bool = False
    has_tank: bool = False
    has_door: bool = False
    has_remote: bool = False
    large: bool = False  # somebody comes to install it
    places: tuple[str, ...] = ("거실 바닥", "주방 바닥", "침실 구석", "창가 쪽")


_SHELF = ("주방 선반", "싱크대 옆", "식탁 위", "수납장 위")
_WET = ("다용도실", "베란다", "세탁실", "욕실 앞")
TYPES = {
    "제습기": Type("DH", (180, 420, 5), (9.2, 19.8, 0.1), (199, 690), (32, 49, 1), (2.5, 7, 0.1, "L"), (6, 48, 1, "시간"),
                (20, 45, 1), has_filter=True, has_tank=True),
    "공기청정기": Type("AP", (25, 95, 1), (4.8, 18.5, 0.1), (129, 990), (20, 54, 1), None, (8, 72, 1, "시간"),
                  has_filter=True, has_remote=True),
    "식기세척기": Type("DW", (1100, 2150, 10), (18.5, 54, 0.1), (390, 1890), (38, 58, 1), (3, 16, 1, "인용"), None, (45, 78, 1),
                  has_door=True, large=True, places=("주방 바닥", "싱크대 옆", "싱크대 아래", "수납장 안")),
    "세탁기": Type("WM", (350, 2250, 10), (31, 98, 0.5), (329, 2490), (42, 74, 1), (7, 25, 0.5, "kg"), None, (25, 95, 1),
                has_door=True, large=True, places=_WET),
    "건조기": Type("DR", (850, 2450, 10), (36, 74, 0.5), (490, 2290), (46, 68, 1), (8, 22, 0.5, "kg"),
                has_filter=True, has_door=True, large=True, places=_WET),
    "냉장고": Type("RF", (85, 265, 1), (44, 145, 0.5), (390, 3990), (30, 45, 1), (138, 876, 1, "L"), None, (15, 45, 1),
                has_filter=True, has_door=True, large=True, places=("주방 바닥", "주방 벽면", "다용도실", "베란다")),
    "정수기": Type("WP", (380, 2650, 10), (3.9, 18.5, 0.1), (259, 1490), (26, 48, 1), (1.2, 6.5, 0.1, "L"), None, (55, 98, 1),
                has_filter=True, has_tank=True, large=True, places=_SHELF),
    "로봇청소기": Type("RC", (26, 78, 1), (2.9, 6.4, 0.1), (229, 1690), (50, 72, 1), (0.2, 0.75, 0.01, "L"), (70, 240, 5, "분"),
                  (35, 80, 1), has_filter=True, has_tank=True),
    "전기밥솥": Type("CK", (520, 1380, 10), (2.8, 8.6, 0.1), (79, 590), None, (0.54, 1.98, 0.01, "L"), None, (35, 85, 1),
                 places=_SHELF),
    "에어컨": Type("AC", (580, 2750, 10), (8.9, 49.5, 0.1), (429, 3490), (19, 52, 1), None, (6, 36, 1, "시간"),
                has_filter=True, has_remote=True, large=True, places=("거실 벽", "침실 벽", "창틀 안", "거실 구석")),
    "가습기": Type("HM", (18, 320, 1), (0.9, 6.8, 0.1), (39, 390), (21, 46, 1), (1.2, 7.8, 0.1, "L"), (5, 42, 1, "시간"),
                (20, 60, 1), has_filter=True, has_tank=True, places=("침실 선반", "책상 위", "거실 바닥", "협탁 위")),
    "전자레인지": Type("MW", (650, 1580, 10), (8.9, 19.8, 0.1), (69, 339), (42, 61, 1), (16, 38, 1, "L"),
                  has_door=True, places=_SHELF),
    "선풍기": Type("FN", (22, 68, 1), (2.1, 8.2, 0.1), (29, 289), (18, 58, 1), None, (3, 24, 1, "시간"), has_remote=True),
    "안마의자": Type("MC", (85, 280, 1), (64, 148, 0.5), (890, 5990), (36, 58, 1), has_remote=True, large=True,
                 places=("거실 바닥", "침실 구석", "서재 구석", "거실 창가")),
}  # fmt: skip
_FIRST = "다가나하새누온미아은해달별솔바라보소두도초푸한지윤채"
_SECOND = "온람솔빛담울결루리나래별찬슬봄아니미름해"
_NUM_CORPUS_LINES = 90


@cache
def line_names() -> tuple[list[str], list[str]]:
    """Product line names (two syllables): those of ``data/raw``, and those of pre-training."""
    names = [a + b for a, b in itertools.product(_FIRST, _SECOND) if a != b and a + b != COMPANY[:2]]
    Random(0).shuffle(names)
    return names[:_NUM_CORPUS_LINES], names[_NUM_CORPUS_LINES:]


def product_name(rng: Random, *, corpus: bool) -> str:
    """A product such as ``다온 제습기 DH-2741``: of ``data/raw`` or of pre-training, alike in neither name nor code."""
    lines = line_names()[0 if corpus else 1]
    kind = rng.choice(list(TYPES))
    while True:
        code = f"{TYPES[kind].code}-{rng.randint(1000, 9999)}"
        if (
            zlib.crc32(code.encode()) % 8 == 0
        ) == corpus:  # an eighth of the codes, without a pattern in the digits
            return f"{rng.choice(lines)} {kind} {code}"


def short_name(product: str) -> str:
    """``다온 제습기 DH-2741`` -> ``다온 제습기``: how a document calls the product after its title."""
    return product.rsplit(" ", 1)[0]


def type_of(product: str) -> Type:
    return TYPES[product.split()[1]]


def call(rng: Random, product: str) -> str:
    """How a question calls ``product``: mostly without its model code."""
    return product if rng.random() < 0.25 else short_name(product)


def _likely(rng: Random, product: str) -> float:
    """0-1, where in its ranges a product stands: a large one weighs more, costs more, and is sent at a higher fee."""
    return 0.6 * (zlib.crc32(product.encode()) % 1000 / 999) + 0.4 * rng.random()


def measure(rng: Random, product: str, span: Range, unit: str) -> str:
    """``5.2kg`` or ``5kg``: so many steps from the lower end, with no more decimals than the step has."""
    low, high, step = span
    value = low + step * round(_likely(rng, product) * (high - low) / step)
    decimals = len(f"{step:g}".partition(".")[2])
    return f"{float(f'{value:.{decimals}f}'):g}{unit}"


def price(rng: Random, product: str, low: int, high: int) -> str:
    """``189,000원`` or ``1,290,000원``, between ``low`` and ``high`` thousand won: prices end below a round number."""
    won = 1000 * (low + _likely(rng, product) * (high - low))
    round_to = 10_000 if won < 1_000_000 or rng.random() < 0.6 else 100_000
    won = round(won / round_to) * round_to
    return f"{max(round_to, won) - rng.choices((1000, 100, 0, 10_000), (50, 25, 15, 10))[0]:,}원"


def fee(low: int, high: int, step: int) -> Value:
    """A charge between ``low`` and ``high`` won for a small product, three times as much for a large one."""

    def draw(rng: Random, product: str) -> str:
        times = 3 if type_of(product).large else 1
        return f"{rng.randrange(low, high + 1, step) * times:,}원"

    return draw
