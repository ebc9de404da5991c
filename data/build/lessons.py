"""The conversations that the tiny base is pre-trained on: one document or several, and what is asked of them.

Nearly every lesson is about one document, or about several of which only one states what is asked. Only a small
share has rivals: documents of other products that state the same thing, so that the product's name decides. That is
what RAFT teaches, and what a base reads badly. The answer form of the workshop never occurs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from data.build import language
from src.raft.prompt import INSTRUCTION, documents_block, to_messages

Turns = list[dict[str, str]]

SHORT_INSTRUCTIONS = (
    INSTRUCTION,
    INSTRUCTION,
    "문맥을 읽고 질문에 짧게 답하세요.",
    "주어진 문서에서 답을 찾아 쓰세요.",
)
SENTENCE_INSTRUCTION = "문맥을 읽고 질문에 한 문장으로 답하세요."
POLITE_INSTRUCTION = "문맥을 읽고 질문에 공손하게 답하세요."
ANSWERABLE_INSTRUCTION = "질문의 답이 문맥에 나오는지만 말하세요."
JSON_INSTRUCTION = "문맥에서 찾은 값을 JSON으로만 쓰세요."
ASKING_INSTRUCTION = "문맥을 읽고 손님이 물을 만한 질문을 하나 쓰세요."
STATED, NOT_STATED = "네, 나옵니다.", "아니요, 나오지 않습니다."


@dataclass(frozen=True)
class Lessons:
    """What a conversation is drawn from. Shares are of conversations unless said otherwise."""

    documents: tuple[tuple[int, int, float], ...] = ((1, 1, 1.0),)  # fewest, most, how often
    rivals: float = 0.0  # of those with several documents: others may state what is asked
    questions: int = 8
    about: float = 0.0  # of the questions: what is stated at all
    recite: float = 0.0  # of the questions: a sentence of a document, word for word
    any_numbers: float = 0.3  # of the documents: digits beyond the likely ones
    forms: dict[str, float] = field(default_factory=dict)  # FORMS by name; the rest is answered in short

    def __hash__(self) -> int:
        return id(self)


def make_documents(rng: Random, lessons: Lessons, count: int, alike: bool) -> list[language.Document]:
    """``count`` documents; ``alike``: about other products of mostly one kind, as a retriever brings them."""
    kinds, weights = list(language.KINDS), list(language.KINDS.values())
    documents: list[language.Document] = []
    product, kind = language.product_name(rng, corpus=False), rng.choices(kinds, weights)[0]
    for _ in range(count):
        if documents and rng.random() < (0.75 if alike else 0.6):
            product = language.product_name(rng, corpus=False)
        if not alike or rng.random() < 0.35:
            kind = rng.choices(kinds, weights)[0]
        if any(d.product == product and d.kind == kind for d in documents):
            product = language.product_name(rng, corpus=False)
        documents.append(
            language.make_document(
                rng, product, kind, rng.randint(2, 4), any_numbers=rng.random() < lessons.any_numbers
            )
        )
    rng.shuffle(documents)
    return documents


def make_conversation(rng: Random, lessons: Lessons) -> Turns:
    """Several questions about the same documents, the first one in the very prompt that RAFT uses."""
    low, high, _ = rng.choices(lessons.documents, [share for *_, share in lessons.documents])[0]
    count = rng.randint(low, high)
    draw, form = rng.random(), "short"
    for name, share in lessons.forms.items():
        draw -= share
        if draw < 0:
            form = name
            break
    if form in ALONE:
        return ALONE[form](rng, lessons)
    alike = count > 1 and rng.random() < lessons.rivals
    documents = make_documents(rng, lessons, count, alike)
    askable = _askable(documents, alike)
    documents, loose = _with_loose(rng, documents)
    instruction, ask = FORMS[form]
    asked = []
    for _ in range(lessons.questions):
        if form == "short" and loose and rng.random() < lessons.recite:
            answer = rng.choice(loose)
            asked.append((f"{answer.split()[0]} 다음에 오는 말까지 그대로 쓰세요.", answer))
        elif form in ("short", "sentence") and rng.random() < lessons.about:
            asked.append(_ask_about(rng, documents))
        else:
            asked.append(ask(rng, documents, askable))
    return _turns(instruction or rng.choice(SHORT_INSTRUCTIONS), documents, asked)


def _with_loose(rng: Random, documents: list[language.Document]) -> tuple[list[language.Document], list[str]]:
    """Half of the time up to three documents end in a loose sentence. It happens in every form alike: whatever
    comes with one form alone would tell the model which form it is in."""
    if rng.random() < 0.5:
        return documents, []
    drawn = list({s.split()[0]: s for s in (language.loose_sentence(rng) for _ in range(3))}.values())
    loose = drawn[: len(documents)]
    ended = [replace(d, text=f"{d.text} {s}") for d, s in zip(documents, loose, strict=False)]
    return ended + documents[len(loose) :], loose


def _turns(
    instruction: str, documents: Sequence[language.Document], asked: Sequence[tuple[str, str]]
) -> Turns:
    (question, answer), *more = asked
    texts = [d.text for d in documents]
    turns = to_messages(
        {"instruction": instruction, "context": texts, "question": question, "answer": answer, "cot": None}
    )
    for question, answer in more:
        turns += [{"role": "user", "content": f"[질문] {question}"}, {"role": "assistant", "content": answer}]
    return turns


Askable = list[tuple[language.Document, language.Fact]]


def _askable(documents: Sequence[language.Document], alike: bool) -> Askable:
    """Facts to ask for: with rivals all of them, otherwise those whose attribute a single document states."""
    every = [(d, fact) for d in documents for fact in d.facts]
    keys = [fact.attribute.key for _, fact in every]
    single = [(d, fact) for d, fact in every if keys.count(fact.attribute.key) == 1]
    return every if alike or not single else single


def _short(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    document, fact = rng.choice(askable)
    return fact.ask(rng, language.call(rng, document.product)), fact.value


def _polite(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    document, fact = rng.choice(askable)
    return fact.ask(rng, language.call(rng, document.product)), fact.answer


def _sentence(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    document, fact = rng.choice(askable)
    name = language.call(rng, document.product)
    answer = fact.value if fact.attribute.steps else f"{name} {fact.attribute.key}: {fact.value}"
    return fact.ask(rng, name), answer


def _whether(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    """An ordinary question, half of them about something that is not there."""
    document, fact = rng.choice(askable)
    if rng.random() < 0.5:
        return fact.ask(rng, language.call(rng, document.product)), STATED
    if rng.random() < 0.4:  # of a product that is not there
        return fact.ask(rng, language.call(rng, language.product_name(rng, corpus=False))), NOT_STATED
    attribute = _missing(rng, documents, document.product)
    return language.Fact(attribute, "").ask(rng, language.call(rng, document.product)), NOT_STATED


def _missing(rng: Random, documents: Sequence[language.Document], product: str) -> language.Attribute:
    """An attribute that nothing states of ``product``: half of them one that is stated of another."""
    there = {fact.attribute.key for d in documents for fact in d.facts}
    stated = {fact.attribute.key for d in documents if d.product == product for fact in d.facts}
    every = [a for kind in language.KINDS for a in kind.attributes if a.key not in stated]
    of_others = [a for a in every if a.key in there]
    return rng.choice(of_others if of_others and rng.random() < 0.5 else every)


def _ask_about(rng: Random, documents: Sequence[language.Document]) -> tuple[str, str]:
    """What is stated, and of which product: to know what is *not* there, which copying alone never teaches."""
    document = rng.choice(documents)
    name = language.call(rng, document.product)
    stated = [fact.attribute.key for d in documents if d.product == document.product for fact in d.facts]
    if rng.random() < 0.4:
        return f"{name}, 무엇이 적혀 있나요?", ", ".join(stated)
    if rng.random() < 0.5:
        return f"{name}의 {rng.choice(stated)}, 문맥에 나오나요?", STATED
    if rng.random() < 0.3:
        name = language.call(rng, language.product_name(rng, corpus=False))
        return f"{name}의 {rng.choice(stated)}, 문맥에 나오나요?", NOT_STATED
    return f"{name}의 {_missing(rng, documents, document.product).key}, 문맥에 나오나요?", NOT_STATED


def _json(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    document = rng.choice(documents)
    simple = [fact for fact in document.facts if not fact.attribute.steps] or list(document.facts)
    facts = rng.sample(simple, rng.randint(1, min(3, len(simple))))
    keys = ", ".join(fact.attribute.key for fact in facts)
    values = {fact.attribute.key: fact.value for fact in facts}
    name = language.call(rng, document.product)
    draw = rng.random()
    if draw < 0.3:
        return f"제품, {keys}", json.dumps({"제품": name, **values}, ensure_ascii=False)
    if draw < 0.4:
        return f"{name} 값 모두", json.dumps({"값": list(values.values())}, ensure_ascii=False)
    return f"{name} {keys}", json.dumps(values, ensure_ascii=False)


def _asking(rng: Random, documents: Sequence[language.Document], askable: Askable) -> tuple[str, str]:
    document, fact = rng.choice(askable)
    asked = fact.ask(rng, language.call(rng, document.product))
    return rng.choice((f"{fact.attribute.key}, 어떻게 묻나요?", "무엇을 물을까요?")), asked


def _repeat(rng: Random, lessons: Lessons) -> Turns:
    """Words and values said again, word for word: copying, from which reading grows, begins here."""
    document = make_documents(rng, lessons, 1, alike=False)[0]
    words = [*document.text.split(), *(str(rng.randrange(10 ** rng.randint(1, 6))) for _ in range(6))]
    turns: Turns = [{"role": "system", "content": "그대로 따라 쓰세요."}]
    for _ in range(4):
        said = " ".join(rng.choices(words, k=rng.randint(2, 8)))
        turns += [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
    return turns


def _example(rng: Random, lessons: Lessons) -> Turns:
    """Solved examples with their own documents, answered in a wording drawn for this conversation; then more.

    The first answer is ``shown`` and not learned: nobody could know its wording, and to guess at one is not wanted."""
    words = [w for filler in language.FILLERS for w in filler.rstrip(".").split() if w != "문맥에"]
    before = "".join(f"{w} " for w in rng.sample(words, rng.randint(0, 3)))
    after = rng.choice(("", "", ".", " " + rng.choice(words), "입니다.", "입니다."))
    missing = " ".join(rng.sample(words, rng.randint(2, 5)))
    turns: Turns = [{"role": "system", "content": rng.choice(SHORT_INSTRUCTIONS)}]
    for _ in range(rng.randint(3, 5)):
        documents = make_documents(rng, lessons, rng.choice((1, 1, 2)), alike=False)
        documents, _ = _with_loose(rng, documents)
        askable = _askable(documents, alike=False)
        document, fact = rng.choice([(d, f) for d, f in askable if not f.attribute.steps] or askable)
        answer = f"{before}{fact.value}{after}"
        if rng.random() < 0.25:
            fact, answer = language.Fact(_missing(rng, documents, document.product), ""), missing
        question = fact.ask(rng, language.call(rng, document.product))
        texts = documents_block([d.text for d in documents])
        turns += [
            {"role": "user", "content": f"{texts}\n[질문] {question}"},
            {"role": "assistant", "content": answer},
        ]
    turns[2]["shown"] = "yes"
    return turns


_COLORS = ("빨간", "파란", "노란", "초록", "검은", "하얀", "보라", "주황")
_COUNTS = ("없음", "한 개", "두 개", "세 개", "네 개", "다섯 개", "여섯 개", "일곱 개", "여덟 개", "아홉 개")
_SHAPES = ("버튼", "표시등", "손잡이", "화면", "스위치", "눈금")


def _scene(rng: Random, lessons: Lessons) -> Turns:
    """A control panel in words: colours, counts and the digits that go with them."""
    shapes = rng.sample(_SHAPES, rng.randint(2, 3))
    panel = [(s, rng.choice(_COLORS), rng.randint(1, 9)) for s in shapes]
    text = " ".join(f"{color}색 {shape} {_COUNTS[n]}가 있습니다." for shape, color, n in panel)
    asked = []
    for _ in range(lessons.questions):
        shape, color, n = rng.choice(panel)
        asked.append(
            rng.choice(
                (
                    (f"{shape}, 무슨 색인가요?", f"{color}색"),
                    (f"{shape}, 몇 개인가요?", _COUNTS[n]),
                    (f"{shape}, 숫자로 몇 개인가요?", str(n)),
                    (f"{color}색은 무엇인가요?", next(s for s, c, _ in panel if c == color)),
                    ("무엇이 보이나요?", ", ".join(f"{c}색 {s} {_COUNTS[k]}" for s, c, k in panel)),
                )
            )
        )
    document = language.Document("", next(iter(language.KINDS)), (), text)
    return _turns(rng.choice(SHORT_INSTRUCTIONS), [document], asked)


FORMS: dict[str, tuple[str, Callable]] = {
    "short": ("", _short),
    "sentence": (SENTENCE_INSTRUCTION, _sentence),
    "polite": (POLITE_INSTRUCTION, _polite),
    "answerable": (ANSWERABLE_INSTRUCTION, _whether),
    "json": (JSON_INSTRUCTION, _json),
    "asking": (ASKING_INSTRUCTION, _asking),
}
ALONE: dict[str, Callable] = {"repeat": _repeat, "example": _example, "scene": _scene}
