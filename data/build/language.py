"""The language of a support knowledge base: facts, the sentences that state them, the questions that ask for them.

Both generators speak it: ``data.build.corpus`` about the products of ``data/raw`` and ``data.build.base_model``
about products that occur only in pre-training. ``product_names`` keeps the two disjoint.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

COMPANY = "새온가전"


@dataclass(frozen=True)
class Attribute:
    """One thing a document can state about a product.

    ``sentences`` use {e} (the product) and {v} (the value), ``questions`` use {e}. An answer is the value, or,
    where ``steps`` is set, the two sentences that ``value`` returns, word for word as in the document.
    """

    key: str
    value: Callable[[Random], str]
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    steps: bool = False


@dataclass(frozen=True)
class Fact:
    """An attribute of a product with its value."""

    attribute: Attribute
    value: str

    def state(self, rng: Random, name: str) -> str:
        """A sentence (two for steps) that states this fact of the product called ``name``."""
        return rng.choice(self.attribute.sentences).format(e=name, v=self.value)

    def ask(self, rng: Random, name: str) -> str:
        return rng.choice(self.attribute.questions).format(e=name)

    @property
    def answer(self) -> str:
        """The answer as a support agent writes it down: a sentence, or two."""
        return self.value if self.attribute.steps else f"{self.value}입니다."


@dataclass(frozen=True)
class Kind:
    """A kind of document: its topic label, how it introduces itself, and what it may state."""

    topic: str
    titles: tuple[str, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Document:
    product: str  # full name with its model code
    kind: Kind
    facts: tuple[Fact, ...]
    text: str


def _number(low: int, high: int, step: int, unit: str) -> Callable[[Random], str]:
    return lambda rng: f"{rng.randrange(low, high + 1, step)}{unit}"


def _decimal(low: int, high: int, unit: str) -> Callable[[Random], str]:
    return lambda rng: f"{rng.randint(low, high)}.{rng.randint(1, 9)}{unit}"


def _one_of(*options: str) -> Callable[[Random], str]:
    return lambda rng: rng.choice(options)


def _won(low: int, high: int, step: int) -> Callable[[Random], str]:
    return lambda rng: f"{rng.randrange(low, high + 1, step):,}원"


def _month_day(rng: Random) -> str:
    return f"{rng.randint(1, 12)}월 {rng.randint(1, 28)}일"


def _pair(first: tuple[str, ...], second: tuple[str, ...]) -> Callable[[Random], str]:
    return lambda rng: f"{rng.choice(first)} {rng.choice(second)}"


def _steps(first: tuple[str, ...], second: tuple[str, ...], low: int, high: int) -> Callable[[Random], str]:
    def make(rng: Random) -> str:
        return f"{rng.choice(first)} {rng.choice(second)}".replace("{n}", str(rng.randint(low, high)))

    return make


def _noun(key: str, value: Callable[[Random], str], ask: str, *more: str) -> Attribute:
    """An attribute stated as "X는 V입니다" and asked with ``ask`` (a question word) or in the words of ``more``."""
    topic = key + ("은" if (ord(key[-1]) - 0xAC00) % 28 else "는")
    return Attribute(
        key,
        value,
        (
            f"{{e}}의 {topic} {{v}}입니다.",
            f"{topic} {{v}}입니다.",
            f"{{e}}의 {topic} 현재 {{v}}입니다.",
        ),
        (f"{{e}}의 {topic} {ask}?", f"{{e}} {key} 좀 알려 주세요.", *more),
    )


SHEET = Kind(
    "제품 안내",
    ("{e} 제품 안내입니다.", "{e}의 제품 정보를 안내합니다."),
    (
        _noun("소비 전력", _number(30, 2400, 10, "W"), "얼마인가요", "{e}, 전기를 얼마나 쓰나요?"),
        _noun("무게", _decimal(2, 98, "kg"), "얼마인가요", "{e}, 얼마나 무겁나요?"),
        _noun("용량", _number(3, 960, 1, "L"), "얼마인가요", "{e}에는 얼마나 담을 수 있나요?"),
        _noun("작동 소음", _number(19, 74, 1, "dB"), "얼마나 되나요", "{e}, 켜면 얼마나 시끄러운가요?"),
        _noun("판매 가격", _won(39000, 3980000, 1000), "얼마인가요", "{e}, 사려면 얼마를 내야 하나요?"),
        _noun(
            "출시일",
            lambda r: f"{r.randint(2016, 2026)}년 {r.randint(1, 12)}월",
            "언제인가요",
            "{e}, 언제 나온 제품인가요?",
        ),
        _noun(
            "색상",
            _pair(
                ("눈꽃", "새벽", "모래", "바다", "숲속", "달빛"),
                ("흰색", "회색", "갈색", "남색", "녹색", "분홍색"),
            ),
            "무엇인가요",
            "{e}, 어떤 색으로 나오나요?",
        ),
        _noun("전원 코드 길이", _decimal(1, 5, "m"), "얼마인가요", "{e}, 전선이 얼마나 긴가요?"),
    ),
)
PROCEDURE = Kind(
    "사용 방법",
    ("{e} 사용과 청소 방법입니다.", "{e}의 관리 방법을 안내합니다."),
    (
        _noun(
            "청소 주기",
            lambda r: f"{r.randint(2, 12)}주에 한 번",
            "어떻게 되나요",
            "{e}, 얼마나 자주 닦아야 하나요?",
        ),
        _noun("필터 교체 주기", _number(2, 36, 1, "개월"), "얼마인가요", "{e}, 필터를 언제 갈아야 하나요?"),
        _noun(
            "연속 사용 시간", _number(2, 48, 1, "시간"), "얼마인가요", "{e}, 쉬지 않고 얼마나 틀 수 있나요?"
        ),
        _noun("세척 온도", _number(25, 95, 1, "도"), "몇 도인가요", "{e}, 몇 도의 물로 씻나요?"),
        _noun(
            "권장 세제",
            _pair(("약한", "순한", "묽은", "진한"), ("중성 세제", "구연산", "베이킹 소다", "산소 표백제")),
            "무엇인가요",
            "{e}, 무엇으로 닦는 것이 좋나요?",
        ),
        Attribute(
            "청소 방법",
            _steps(
                (
                    "필터를 빼서 흐르는 물에 {n}분 헹굽니다.",
                    "물통을 비우고 {n}분 동안 말립니다.",
                    "먼지 통을 열고 솔로 {n}번 털어 냅니다.",
                ),
                (
                    "그늘에서 말린 뒤 다시 끼웁니다.",
                    "마른 천으로 안쪽을 닦습니다.",
                    "뚜껑을 닫고 전원을 켭니다.",
                ),
                2,
                60,
            ),
            ("{e}의 청소 방법은 이렇습니다. {v}", "청소할 때는 이렇게 합니다. {v}"),
            ("{e}의 청소 방법을 알려 주세요.", "{e}, 어떻게 청소하나요?"),
            steps=True,
        ),
        Attribute(
            "초기화 방법",
            _steps(
                (
                    "전원 버튼을 {n}초 동안 누릅니다.",
                    "예약 버튼을 {n}번 누릅니다.",
                    "전원 코드를 뽑고 {n}분 기다립니다.",
                ),
                ("표시등이 꺼지면 손을 뗍니다.", "소리가 나면 다시 켭니다.", "화면이 밝아지면 끝납니다."),
                3,
                30,
            ),
            ("{e}의 초기화 방법은 이렇습니다. {v}", "초기화할 때는 이렇게 합니다. {v}"),
            ("{e}의 초기화 방법을 알려 주세요.", "{e}, 처음 상태로 어떻게 되돌리나요?"),
            steps=True,
        ),
    ),
)
ERROR = Kind(
    "고장 진단",
    ("{e} 고장 진단표입니다.", "{e}의 오류 표시를 설명합니다."),
    (
        _noun(
            "문 열림 오류 번호",
            lambda r: f"E{r.randint(10, 99)}",
            "무엇인가요",
            "{e}, 문이 열리면 어떤 번호가 뜨나요?",
        ),
        _noun(
            "과열 오류 번호",
            lambda r: f"H{r.randint(10, 99)}",
            "무엇인가요",
            "{e}, 너무 뜨거우면 어떤 번호가 뜨나요?",
        ),
        _noun(
            "전원 불량 원인",
            _pair(("낡은", "젖은", "느슨한", "휜"), ("전원 코드", "퓨즈", "기판", "연결 단자")),
            "무엇인가요",
            "{e}, 왜 전원이 안 들어오나요?",
        ),
        _noun(
            "소음 원인",
            _pair(("기울어진", "닳은", "풀린", "먼지 낀"), ("받침대", "회전 날개", "고정 나사", "모터")),
            "무엇인가요",
            "{e}, 왜 이상한 소리가 나나요?",
        ),
        _noun(
            "재시작 대기 시간", _number(2, 90, 1, "분"), "얼마인가요", "{e}, 다시 켜려면 얼마나 기다리나요?"
        ),
    ),
)
WARRANTY = Kind(
    "보증과 환불",
    ("{e} 보증과 환불 정책입니다.", "{e}의 보증 조건을 안내합니다."),
    (
        _noun("무상 보증 기간", _number(6, 84, 1, "개월"), "얼마인가요", "{e}, 언제까지 공짜로 고쳐 주나요?"),
        _noun("부품 보유 기간", _number(3, 15, 1, "년"), "얼마인가요", "{e}, 부품을 몇 년 동안 갖고 있나요?"),
        _noun("환불 가능 기간", _number(3, 60, 1, "일"), "얼마인가요", "{e}, 며칠 안에 환불해야 하나요?"),
        _noun(
            "반품 배송비", _won(2000, 69000, 500), "얼마인가요", "{e}, 돌려보낼 때 배송비를 얼마나 내나요?"
        ),
        _noun("출장 수리비", _won(11000, 99000, 1000), "얼마인가요", "{e}, 기사님이 오시면 얼마를 내나요?"),
        _noun(
            "보증 제외 대상",
            _pair(("긁힌", "깨진", "물에 젖은", "직접 뜯은"), ("외장 판", "유리문", "리모컨", "물통")),
            "무엇인가요",
            "{e}, 무엇은 보증을 받을 수 없나요?",
        ),
    ),
)
INSTALL = Kind(
    "설치",
    ("{e} 설치 안내입니다.", "{e}의 설치 조건을 안내합니다."),
    (
        _noun("벽과의 간격", _number(3, 80, 1, "cm"), "얼마인가요", "{e}, 벽에서 얼마나 띄워야 하나요?"),
        _noun("설치 비용", _won(12000, 240000, 1000), "얼마인가요", "{e}, 설치하는 데 얼마가 드나요?"),
        _noun("설치 소요 시간", _number(15, 240, 5, "분"), "얼마인가요", "{e}, 설치하는 데 얼마나 걸리나요?"),
        _noun(
            "설치 장소",
            _pair(
                ("평평한", "그늘진", "환기되는", "물기 없는"), ("주방 바닥", "거실 벽", "베란다", "선반 위")
            ),
            "어디인가요",
            "{e}, 어디에 두어야 하나요?",
        ),
    ),
)
NOTICE = Kind(
    "공지",
    ("{e} 공지입니다.", "{e} 고객에게 알립니다."),
    (
        _noun(
            "새 펌웨어 번호",
            lambda r: f"{r.randint(1, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}",
            "무엇인가요",
            "{e}, 이번에 나온 펌웨어는 몇 번인가요?",
        ),
        _noun("펌웨어 배포일", _month_day, "언제인가요", "{e}, 펌웨어는 언제 나오나요?"),
        _noun("무상 점검 마감일", _month_day, "언제인가요", "{e}, 무상 점검은 언제까지 받나요?"),
        _noun("재입고 예정일", _month_day, "언제인가요", "{e}, 다시 들어오는 날은 언제인가요?"),
        _noun(
            "상담 내선 번호",
            lambda r: f"{r.randint(100, 999)}번",
            "몇 번인가요",
            "{e}, 상담하려면 몇 번을 누르나요?",
        ),
    ),
)
# Deliberately unbalanced: product sheets and procedures outnumber installation guides and notices.
KINDS = {SHEET: 10, PROCEDURE: 8, WARRANTY: 6, ERROR: 4, NOTICE: 3, INSTALL: 2}

# Ordinary sentences around the facts. They also make every word of the RAFT answer form a word that the base
# model has written before: a word that was never a target cannot be learned by an adapter in a few minutes.
FILLERS = (
    f"{COMPANY} 고객 지원 문서입니다.",
    "설명서에 따르면 값은 시험 환경에 따라 다를 수 있습니다.",
    "시험 결과에 따르면 오래 써도 성능이 그대로입니다.",
    "문맥에 맞지 않는 광고 문구는 뺐습니다.",
    "앞뒤 문맥에서 뜻이 드러나는 말은 줄였습니다.",
    "주어진 기간이 지나면 조건이 바뀝니다.",
    "문의하시면 하루 안에 답을 드립니다.",
    "매장에서 찾을 수 없는 부품은 온라인으로 주문합니다.",
    "앱에서 제품을 찾을 수 없습니다라는 안내가 나오면 다시 연결합니다.",
    "어린이의 손이 닿지 않는 곳에서 사용합니다.",
    "자세한 내용은 고객 센터에 문의해 주세요.",
    "이 문서는 예고 없이 바뀔 수 있습니다.",
)

# Sentences for pre-training alone, in which the same words meet other neighbours ({…} is drawn anew each time).
_SOURCES = ("설명서에", "시험 결과에", "공지에", "약관에", "조사에", "광고에")
_CLAIMS = (
    "값은 조금씩 다릅니다.",
    "오래 써도 괜찮습니다.",
    "모두 새 제품입니다.",
    "고객은 만족합니다.",
    "차이가 없습니다.",
    "수명이 깁니다.",
)
_PLACES = ("매장에서", "앱에서", "누리집에서", "목록에서", "창고에서", "지도에서")
_THINGS = ("부품을", "제품을", "버튼을", "주소를", "이름을", "길을")
_ENDS = ("없습니다.", "있습니다.", "없으면 문의합니다.", "있으면 알립니다.", "없는 때가 있습니다.")
_SPANS = ("기간", "시간", "하루", "순서")
_REPLIES = ("드립니다.", "보냅니다.", "받습니다.", "적습니다.", "기다립니다.")
_CONTEXTS = (
    "문맥에 맞지 않는 말은 뺐습니다.", "문맥에 어울리게 고쳤습니다.", "문맥에서 뜻이 드러납니다.", "문맥에서 벗어난 말은 지웠습니다.",
    "문맥이 길면 나누어 적습니다.", "주어진 값만 적습니다.", "주어진 순서에 따라 합니다.", "주어진 자료가 없습니다.",
)  # fmt: skip


def loose_sentence(rng: Random) -> str:
    """An ordinary sentence with the words of the RAFT answer form, never in that form."""
    pick = rng.choice
    return pick(
        (
            f"{pick(_SOURCES)} 따르면 {pick(_CLAIMS)}",
            f"{pick(_PLACES)} {pick(_THINGS)} 찾을 수 {pick(_ENDS)}",
            f"주어진 {pick(_SPANS)} 안에 답을 {pick(_REPLIES)}",
            pick(_CONTEXTS),
        )
    )


_TYPES = {
    "제습기": "DH", "공기청정기": "AP", "식기세척기": "DW", "세탁기": "WM", "건조기": "DR", "냉장고": "RF", "정수기": "WP",
    "로봇청소기": "RC", "전기밥솥": "CK", "에어컨": "AC", "가습기": "HM", "전자레인지": "MW", "선풍기": "FN", "안마의자": "MC",
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
    kind = rng.choice(list(_TYPES))
    while True:
        code = f"{_TYPES[kind]}-{rng.randint(1000, 9999)}"
        if (
            zlib.crc32(code.encode()) % 8 == 0
        ) == corpus:  # an eighth of the codes, without a pattern in the digits
            return f"{rng.choice(lines)} {kind} {code}"


def short_name(product: str) -> str:
    """``다온 제습기 DH-2741`` -> ``다온 제습기``: how a document calls the product after its title."""
    return product.rsplit(" ", 1)[0]


def call(rng: Random, product: str) -> str:
    """How a question calls ``product``: mostly without its model code."""
    return product if rng.random() < 0.25 else short_name(product)


def make_document(rng: Random, product: str, kind: Kind, num_facts: int) -> Document:
    """A document of 3-5 short sentences; a fact may be stated without repeating the product's name."""
    attributes = rng.sample(kind.attributes, min(num_facts, len(kind.attributes)))
    facts = tuple(Fact(attribute, attribute.value(rng)) for attribute in attributes)
    name = short_name(product)
    sentences = [rng.choice(kind.titles).format(e=product), *(fact.state(rng, name) for fact in facts)]
    if rng.random() < 0.35:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(FILLERS))
    return Document(product, kind, facts, " ".join(sentences))
