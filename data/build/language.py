"""The language of a support knowledge base: facts, the sentences that state them, the questions that ask for them.

Both generators speak it: ``data.build.corpus`` about the products of ``data/raw`` and ``data.build.base_model``
about products that occur only in pre-training. ``product_name`` keeps the two disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from data.build.attributes import ERROR, INSTALL, KINDS, NOTICE, PROCEDURE, SHEET, WARRANTY, Attribute, Kind
from data.build.products import COMPANY, call, line_names, product_name, short_name
from data.build.wording import (
    SLIP_SHARE,
    any_digits,
    slip,
    with_copula,
    with_direction,
    with_subject,
    with_topic,
)

__all__ = [
    "COMPANY",
    "ERROR",
    "FILLERS",
    "INSTALL",
    "KINDS",
    "MANNERS",
    "NOTICE",
    "PROCEDURE",
    "SHEET",
    "WARRANTY",
    "Attribute",
    "Document",
    "Fact",
    "Kind",
    "call",
    "line_names",
    "loose_sentence",
    "make_document",
    "product_name",
    "put",
    "short_name",
]


@dataclass(frozen=True)
class Manner:
    """How an author writes. {e} is the product, {k} the title or the key, {v} the value; the other words are these with
    a particle or an ending."""

    title: tuple[str, ...]
    fact: tuple[str, ...]
    steps: tuple[str, ...]
    share: float  # of the documents


_FORMAL_STEPS = ("{e}의 {topic} 이렇습니다. {v}", "{topic} 다음과 같습니다. {v}")
MANNERS = {
    "formal": Manner(
        ("{e} {k}입니다.", "{e}의 {k}입니다."),
        ("{e}의 {topic} {v}입니다.", "{topic} {v}입니다.", "{e}의 {topic} 현재 {v}입니다."),
        _FORMAL_STEPS,
        0.4,
    ),
    "list": Manner(("{e} {k}.",), ("{k}: {v}.",), ("{k}: 다음과 같음. {v}",), 0.15),
    "friendly": Manner(
        ("{e} {kis}.", "{e}의 {kis}."),
        ("{e}의 {topic} {is}.", "{topic} {is}.", "{etopic} {subject} {is}."),
        ("{e}의 {topic} 이렇게 해요. {v}", "{topic} 이래요. {v}"),
        0.15,
    ),
    "noun": Manner(("{e} {k}.", "{k}, {e}."), ("{e} {k} {v}.", "{k} {v}."), ("{k} 다음 순서. {v}",), 0.15),
    "manual": Manner(
        ("이 문서는 {e}에 대한 {k}입니다.", "{e}의 {k}입니다."),
        (
            "{topic} {to} 되어 있습니다.",
            "{e}의 {topic} {to} 정해져 있습니다.",
            "본 제품의 {topic} {v}입니다.",
        ),
        _FORMAL_STEPS,
        0.15,
    ),
}


@dataclass(frozen=True)
class Fact:
    """An attribute of a product with its value."""

    attribute: Attribute
    value: str

    def state(self, rng: Random, name: str, manner: Manner = MANNERS["formal"]) -> str:
        """A sentence that states this fact of the product called ``name``; before steps one that leads up to them."""
        key = self.attribute.key
        words = {"e": name, "k": key, "v": self.value}
        words |= {"topic": with_topic(key), "subject": with_subject(key), "etopic": with_topic(name)}
        words |= {"is": with_copula(self.value), "to": with_direction(self.value)}
        return rng.choice(manner.steps if self.attribute.steps else manner.fact).format(**words)

    def ask(self, rng: Random, name: str) -> str:
        """A question for this fact; now and then with a slip."""
        return put(rng, rng.choice(self.attribute.questions), name)

    @property
    def answer(self) -> str:
        """The answer as a support agent writes it down: a sentence, or two."""
        return self.value if self.attribute.steps else f"{self.value}입니다."


def put(rng: Random, wording: str, name: str) -> str:
    """A question in this wording about the product called ``name``, with a slip in ``SLIP_SHARE`` of them."""
    return (slip(rng, wording) if rng.random() < SLIP_SHARE else wording).format(e=name)


@dataclass(frozen=True)
class Document:
    product: str  # full name with its model code
    kind: Kind
    facts: tuple[Fact, ...]
    text: str


def make_document(
    rng: Random, product: str, kind: Kind, num_facts: int, *, any_numbers: bool = False
) -> Document:
    """A document of 3-5 short sentences in one manner; a fact may be stated without repeating the product's name.

    ``any_numbers`` writes any digits in the place of likely ones: a rice cooker of 481 litres, for pre-training.
    """
    attributes = kind.fitting(product)
    attributes = rng.sample(attributes, min(num_facts, len(attributes)))
    values = [attribute.value(rng, product) for attribute in attributes]
    if any_numbers:
        values = [any_digits(rng, value) for value in values]
    facts = tuple(Fact(attribute, value) for attribute, value in zip(attributes, values, strict=True))
    manner = rng.choices(list(MANNERS.values()), [manner.share for manner in MANNERS.values()])[0]
    title = rng.choice(kind.titles)
    title = rng.choice(manner.title).format(e=product, k=title, kis=with_copula(title))
    sentences = [title, *(fact.state(rng, short_name(product), manner) for fact in facts)]
    if rng.random() < 0.35:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(FILLERS))
    return Document(product, kind, facts, " ".join(sentences))


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
