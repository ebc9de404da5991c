"""Articles in SQuAD form, written by chance: what KorQuAD looks like, without a word of it."""

from __future__ import annotations

import random

PLACES = ["산", "강", "섬", "마을", "나루", "고개"]
STUFF = [
    "돌다리",
    "누각",
    "방앗간",
    "장터",
    "나루터",
    "서당",
    "향교",
    "봉수대",
    "우물",
    "느티나무",
    "성벽",
    "저수지",
]
SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호"


def write_articles(count: int, *, seed: int, long: int = 22) -> list[dict]:
    """``count`` articles, ``{"title", "paragraphs": [{"context", "qas"}]}``; the answer of the longest paragraph stands
    between ``long`` sentences and ``long`` more."""
    rng = random.Random(seed)
    return [_article(rng, number, long) for number in range(count)]


def _filler(rng: random.Random, name: str, count: int) -> str:
    return " ".join(
        f"{name}의 {rng.choice(STUFF)}에서 {rng.choice(STUFF)}까지 걷는 사람이 많다고 {rng.choice(STUFF)} 비문은 전한다."
        for _ in range(count)
    )


def _article(rng: random.Random, number: int, length: int) -> dict:
    """Five paragraphs: an answer that stands there twice, one under three characters, a value that other articles
    share, one deep in a paragraph beyond the budget (asked for a second time in words that do not stand there), and one in
    a sentence that itself is beyond it."""
    name = "".join(rng.sample(SYLLABLES, 3)) + PLACES[number % len(PLACES)]
    year, pupils, bell = rng.randint(1400, 1800), rng.randint(2, 9), f"{rng.choice(STUFF)} 종"
    paragraphs = []

    def add(context: str, *questions: tuple[str, str, int]) -> None:
        qas = [
            {
                "id": f"{number}-{len(paragraphs)}-{i}",
                "question": q,
                "answers": [{"text": a, "answer_start": start}],
            }
            for i, (q, a, start) in enumerate(questions)
        ]
        paragraphs.append({"context": context, "qas": qas})

    twice = (
        f"{name}은 {year}년 책에 처음 나온다. {_filler(rng, name, 3)} 큰비가 온 {year}년에는 둑이 무너졌다."
    )
    start = twice.rindex(f"{year}년")
    add(twice, (f"{name}의 둑은 언제 무너졌는가?", f"{year}년", start))
    short = f"{name}에는 서당이 있었다. 배우는 아이는 모두 {pupils}명이었다. {_filler(rng, name, 2)}"
    add(short, (f"{name} 서당의 아이는 몇이었는가?", f"{pupils}", short.index(f"{pupils}명")))
    shared = (
        f"{_filler(rng, name, 2)} 새벽마다 {bell}이 울렸다. {name}의 문은 {rng.choice(STUFF)} 곁에 있었다."
    )
    add(
        shared,
        (f"{name}에서 새벽마다 울린 것은?", bell, shared.index(bell)),
        (f"{name}의 새벽을 알린 소리는 무엇의 소리였는가?", bell, shared.index(bell)),
    )
    keeper = f"{rng.choice('김이박최정')}{''.join(rng.sample(SYLLABLES, 2))}"
    long = f"{_filler(rng, name, length)} 둑을 다시 쌓은 이는 {keeper}이다. {_filler(rng, name, length)}"
    in_other_words = f"{name}에서 물난리 뒤의 공사를 이끈 인물은 누구라고 하는가?"
    questions = (f"{name}의 둑을 다시 쌓은 사람은?", in_other_words)
    add(long, *((question, keeper, long.index(keeper)) for question in questions))
    if number % 9 == 0:
        endless = f"{name}에는 {', '.join(rng.choice(STUFF) + '와 그 터' for _ in range(150))}, 그리고 {keeper}의 비가 있다."
        add(endless, (f"{name}에 있는 비는 누구의 것인가?", keeper, endless.index(keeper)))
    return {"title": name, "paragraphs": paragraphs}
