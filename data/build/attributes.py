"""What documents state about products, and how it is asked: one table for each kind of document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from data.build.products import Type, Value, fee, measure, price, type_of
from data.build.wording import with_subject, with_topic


@dataclass(frozen=True)
class Attribute:
    """One thing a document can state about a product.

    ``sentences`` use {e} (the product) and {v} (the value), ``questions`` use {e}. An answer is the value, or,
    where ``steps`` is set, the two sentences that ``value`` returns, word for word as in the document.
    """

    key: str
    value: Value
    sentences: tuple[str, ...]
    questions: tuple[str, ...]
    steps: bool = False
    of: Callable[[Type], object] = lambda kind: True  # whether products of this type have it

    def fits(self, product: str) -> bool:
        return bool(self.of(type_of(product)))


@dataclass(frozen=True)
class Kind:
    """A kind of document: its topic label, what its title calls it, and what it may state."""

    topic: str
    titles: tuple[str, ...]
    attributes: tuple[Attribute, ...]

    def fitting(self, product: str) -> list[Attribute]:
        """The attributes that a product of this type has."""
        return [attribute for attribute in self.attributes if attribute.fits(product)]


def _noun(
    key: str, value: Value, ask: str, *more: str, of: Callable[[Type], object] = lambda kind: True
) -> Attribute:
    """An attribute asked with ``ask`` (a question word) or in the words of ``more``."""
    topic = with_topic(key)
    sentences = (
        f"{{e}}의 {topic} {{v}}입니다.",
        f"{topic} {{v}}입니다.",
        f"{{e}}의 {topic} 현재 {{v}}입니다.",
    )
    questions = (
        f"{{e}}의 {topic} {ask}?",
        f"{{e}} {key} 좀 알려 주세요.",
        f"{{e}} {with_subject(key)} 궁금해요.",
    )
    return Attribute(key, value, sentences, (*questions, *(f"{{e}}{words}" for words in more)), of=of)


def _steps(
    key: str, first: Callable[[Type], tuple[tuple[str, int, int], ...]], second: tuple[str, ...], *more: str
) -> Attribute:
    def draw(rng: Random, product: str) -> str:
        sentence, low, high = rng.choice(first(type_of(product)))
        return f"{sentence} {rng.choice(second)}".replace("{n}", str(rng.randint(low, high)))

    verb = {"청소 방법": "청소할", "초기화 방법": "초기화할"}[key]
    sentences = (f"{{e}}의 {with_topic(key)} 이렇습니다. {{v}}", f"{verb} 때는 이렇게 합니다. {{v}}")
    questions = (f"{{e}}의 {with_topic(key)} 무엇인가요?", f"{{e}} {key} 좀 알려 주세요.")
    return Attribute(key, draw, sentences, (*questions, *(f"{{e}}{words}" for words in more)), steps=True)


def _ranged(name: str, unit: str = "") -> Value:
    """A value from the range ``name`` of the product's type, which may hold its unit."""

    def draw(rng: Random, product: str) -> str:
        span = getattr(type_of(product), name)
        return measure(rng, product, span[:3], unit or span[3])

    return draw


def _between(low: float, high: float, step: float, unit: str) -> Value:
    return lambda rng, product: measure(rng, product, (low, high, step), unit)


def _mostly(common: tuple[int, ...], others: tuple[int, ...], unit: str) -> Value:
    """One of the ``common`` values in three of five products, one of the ``others`` elsewhere."""
    return lambda rng, product: f"{rng.choice(common if rng.random() < 0.6 else others)}{unit}"


def _pair(first: tuple[str, ...], second: Callable[[Type], tuple[str, ...]]) -> Value:
    return lambda rng, product: f"{rng.choice(first)} {rng.choice(second(type_of(product)))}"


def _price(rng: Random, product: str) -> str:
    return price(rng, product, *type_of(product).price)


def _install_minutes(rng: Random, product: str) -> str:
    low, high = (40, 210) if type_of(product).large else (5, 45)
    return f"{rng.randrange(low, high + 1, 5)}분"


def _month_day(rng: Random, product: str) -> str:
    return f"{rng.randint(1, 12)}월 {rng.randint(1, 28)}일"


def _outer_parts(kind: Type) -> tuple[str, ...]:
    return (
        "외장 판",
        "조작 화면",
        *(["유리문"] * kind.has_door),
        *(["물통"] * kind.has_tank),
        *(["리모컨"] * kind.has_remote),
        "받침대",
    )


def _detergents(kind: Type) -> tuple[str, ...]:
    if kind.washing:
        return ("중성 세제", "구연산", "베이킹 소다", "산소 표백제")
    return ("중성 세제", "비눗물", "구연산", "알코올")


def _cleaning(kind: Type) -> tuple[tuple[str, int, int], ...]:
    return (
        *([("필터를 빼서 흐르는 물에 {n}분 헹굽니다.", 2, 30)] * kind.has_filter),
        *([("물통을 비우고 {n}분 동안 말립니다.", 10, 60)] * kind.has_tank),
        *([("문을 열고 {n}분 동안 식힙니다.", 5, 60)] * kind.has_door),
        ("솔로 먼지를 {n}번 털어 냅니다.", 3, 25),
        ("젖은 천으로 바깥을 {n}번 닦습니다.", 2, 12),
    )


SHEET = Kind(
    "제품 안내",
    ("제품 안내", "제품 정보"),
    (
        _noun("소비 전력", _ranged("power", "W"), "얼마인가요", ", 전기를 얼마나 쓰나요?", " 전기 많이 먹어요? 소비 전력이요."),
        _noun("무게", _ranged("weight", "kg"), "얼마인가요", ", 얼마나 무겁나요?", " 무게 몇 kg이에요?"),
        _noun("용량", _ranged("capacity"), "얼마인가요", "에는 얼마나 담을 수 있나요?", " 용량 큰 편이에요?", of=lambda t: t.capacity),
        _noun("작동 소음", _ranged("noise", "dB"), "얼마나 되나요", ", 켜면 얼마나 시끄러운가요?", " 소음 심해요? 몇 dB이에요?",
              of=lambda t: t.noise),
        _noun("판매 가격", _price, "얼마인가요", ", 사려면 얼마를 내야 하나요?", " 가격 얼마예요?"),
        _noun("출시일", lambda r, p: f"{r.randint(2016, 2025)}년 {r.randint(1, 12)}월", "언제인가요", ", 언제 나온 제품인가요?",
              " 언제 출시됐어요?"),
        _noun("색상", _pair(("눈꽃", "새벽", "모래", "바다", "숲속", "달빛"),
                          lambda t: ("흰색", "회색", "갈색", "남색", "녹색", "분홍색")),
              "무엇인가요", ", 어떤 색으로 나오나요?", " 색상 뭐 있어요?"),
        _noun("전원 코드 길이", _between(1.2, 2.5, 0.1, "m"), "얼마인가요", ", 전선이 얼마나 긴가요?", " 코드 짧아요? 몇 m예요?"),
    ),
)  # fmt: skip
PROCEDURE = Kind(
    "사용 방법",
    ("사용과 청소 방법", "관리 방법"),
    (
        _noun("청소 주기", lambda r, p: f"{r.randint(1, 12)}주에 한 번", "어떻게 되나요", ", 얼마나 자주 닦아야 하나요?",
              " 청소 자주 해야 해요? 몇 주에 한 번이에요?"),
        _noun("필터 교체 주기", _mostly((6, 12, 18, 24), (3, 4, 5, 8, 9, 10, 15, 16, 20, 30, 36), "개월"), "얼마인가요",
              ", 필터를 언제 갈아야 하나요?", " 필터 몇 달 써요?", of=lambda t: t.has_filter),
        _noun("연속 사용 시간", _ranged("running"), "얼마인가요", ", 쉬지 않고 얼마나 틀 수 있나요?", " 연속으로 오래 써도 돼요?",
              of=lambda t: t.running),
        _noun("세척 온도", _ranged("washing", "도"), "몇 도인가요", ", 몇 도의 물로 씻나요?", " 세척할 때 뜨거운 물 써요? 몇 도요?",
              of=lambda t: t.washing),
        _noun("권장 세제", _pair(("약한", "순한", "묽은", "진한"), _detergents), "무엇인가요", ", 무엇으로 닦는 것이 좋나요?",
              " 세제 뭐 써요?"),
        _steps("청소 방법", _cleaning,
               ("그늘에서 말린 뒤 전원을 켭니다.", "마른 천으로 안쪽을 닦습니다.", "물기를 없애고 뚜껑을 닫습니다."),
               " 청소 방법, 차례대로 말해 주실래요?", ", 어떻게 청소하나요?", " 청소 뭐부터 해요?"),
        _steps("초기화 방법", lambda t: (("전원 버튼을 {n}초 동안 누릅니다.", 3, 20), ("예약 버튼을 {n}번 누릅니다.", 2, 12),
                                      ("전원 코드를 뽑고 {n}분 기다립니다.", 2, 30)),
               ("표시등이 꺼지면 손을 뗍니다.", "소리가 나면 다시 켭니다.", "화면이 밝아지면 끝납니다."),
               " 초기화 방법, 차례대로 말해 주실래요?", ", 처음 상태로 어떻게 되돌리나요?", " 초기화 뭐부터 해요?"),
    ),
)  # fmt: skip
ERROR = Kind(
    "고장 진단",
    ("고장 진단표", "오류 표시 설명"),
    (
        _noun("문 열림 오류 번호", lambda r, p: f"E{r.randint(10, 99)}", "무엇인가요", ", 문이 열리면 어떤 번호가 뜨나요?",
              " 문 열림 오류 몇 번이에요?", of=lambda t: t.has_door),
        _noun("과열 오류 번호", lambda r, p: f"H{r.randint(10, 99)}", "무엇인가요", ", 너무 뜨거우면 어떤 번호가 뜨나요?",
              " 과열 오류 몇 번이에요?"),
        _noun("전원 불량 원인", _pair(("낡은", "젖은", "느슨한", "휜"), lambda t: ("전원 코드", "퓨즈", "기판", "연결 단자")),
              "무엇인가요", ", 왜 전원이 안 들어오나요?", " 전원이 왜 안 켜져요?"),
        _noun("소음 원인", _pair(("기울어진", "닳은", "풀린", "먼지 낀"), lambda t: ("받침대", "회전 날개", "고정 나사", "모터")),
              "무엇인가요", ", 왜 이상한 소리가 나나요?", " 소음이 왜 나요?", of=lambda t: t.noise),
        _noun("재시작 대기 시간", _between(2, 45, 1, "분"), "얼마인가요", ", 다시 켜려면 얼마나 기다리나요?",
              " 재시작 바로 돼요? 몇 분 기다려요?"),
        _noun("점검 버튼", _pair(("왼쪽", "오른쪽", "앞쪽", "뒤쪽"), lambda t: ("빨간 버튼", "둥근 버튼", "작은 버튼", "긴 버튼")),
              "어느 것인가요", ", 점검하려면 무엇을 누르나요?", " 점검할 때 누르는 거 어느 쪽이에요?"),
    ),
)  # fmt: skip
WARRANTY = Kind(
    "보증과 환불",
    ("보증과 환불 정책", "보증 조건"),
    (
        # Spare parts are kept for five years or more, so never shorter than the longest warranty.
        _noun("무상 보증 기간", _mostly((12, 24, 36), (6, 9, 15, 18, 20, 30, 42, 48, 54, 60), "개월"), "얼마인가요",
              ", 언제까지 공짜로 고쳐 주나요?", " 보증 몇 개월이에요?"),
        _noun("부품 보유 기간", _between(5, 12, 1, "년"), "얼마인가요", ", 부품을 몇 년 동안 갖고 있나요?", " 부품 오래 보유해요? 몇 년이에요?"),
        _noun("환불 가능 기간", _mostly((7, 14, 30), (3, 5, 10, 12, 15, 20, 21, 25, 28, 45), "일"), "얼마인가요",
              ", 며칠 안에 환불해야 하나요?", " 환불 며칠까지 돼요?"),
        _noun("반품 배송비", fee(2500, 15000, 500), "얼마인가요", ", 돌려보낼 때 배송비를 얼마나 내나요?", " 반품하면 배송비 내요?"),
        _noun("출장 수리비", fee(15000, 48000, 1000), "얼마인가요", ", 기사님이 오시면 얼마를 내나요?", " 출장 부르면 수리비 얼마예요?"),
        _noun("보증 제외 대상", _pair(("긁힌", "깨진", "물에 젖은", "직접 뜯은"), _outer_parts), "무엇인가요",
              ", 무엇은 보증을 받을 수 없나요?", " 보증 안 되는 건 뭐예요?"),
    ),
)  # fmt: skip
INSTALL = Kind(
    "설치",
    ("설치 안내", "설치 조건"),
    (
        _noun("벽과의 간격", _between(3, 60, 1, "cm"), "얼마인가요", ", 벽에서 얼마나 띄워야 하나요?", " 벽에 붙여도 돼요? 몇 cm 띄워요?"),
        _noun("설치 비용", fee(10000, 68000, 1000), "얼마인가요", ", 설치하는 데 얼마가 드나요?", " 설치비 따로 내요? 얼마예요?",
              of=lambda t: t.large),
        _noun("설치 소요 시간", _install_minutes, "얼마인가요", ", 설치하는 데 얼마나 걸리나요?", " 설치 오래 걸려요? 몇 분이에요?"),
        _noun("설치 장소", _pair(("평평한", "그늘진", "환기되는", "물기 없는"), lambda t: t.places), "어디인가요",
              ", 어디에 두어야 하나요?", " 설치 어디에 해요?"),
    ),
)  # fmt: skip
NOTICE = Kind(
    "공지",
    ("공지", "고객 알림"),
    (
        _noun("새 펌웨어 번호", lambda r, p: f"{r.randint(1, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}", "무엇인가요",
              ", 이번에 나온 펌웨어는 몇 번인가요?", " 펌웨어 새 번호 뭐예요?"),
        _noun("펌웨어 배포일", _month_day, "언제인가요", ", 펌웨어는 언제 나오나요?", " 펌웨어 업데이트 며칠에 떠요?"),
        _noun("무상 점검 마감일", _month_day, "언제인가요", ", 무상 점검은 언제까지 받나요?", " 무상 점검 며칠까지 해 줘요?"),
        _noun("재입고 예정일", _month_day, "언제인가요", ", 다시 들어오는 날은 언제인가요?", " 재입고 아직 멀었어요? 며칠이에요?"),
        _noun("상담 내선 번호", lambda r, p: f"{r.randint(100, 999)}번", "몇 번인가요", ", 상담하려면 몇 번을 누르나요?",
              " 상담 전화 몇 번 눌러요?"),
    ),
)  # fmt: skip
# Deliberately unbalanced: product sheets and procedures outnumber installation guides and notices.
KINDS = {SHEET: 10, PROCEDURE: 8, WARRANTY: 6, ERROR: 4, NOTICE: 3, INSTALL: 2}
