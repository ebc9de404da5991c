"""Measures ``data/tiny/base`` and writes its card: ``python -m data.build.base_card`` (a few minutes).

Every table is of documents about products that neither pre-training nor the corpus holds under the same seed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from random import Random

from data.build.base_model import TARGET
from data.build.lessons import Lessons, make_conversation
from src.generation.generate import generate_answers
from src.profiles import PROFILES
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model, load_tokenizer

COUNT = 200  # questions a cell
SEED = 2026
WEIGHTS = ("bf16", "nf4")
PROFILE = PROFILES["tiny"]
PLAIN = Lessons(questions=1)
TABLES: dict[str, dict[str, Lessons]] = {
    "문서 수(모두 비슷한 제품의 문서)": {
        f"{k}개": replace(PLAIN, documents=((k, k, 1.0),), rivals=1.0) for k in (1, 3, 5, 10)
    },
    "문서 수(묻는 것을 한 문서만 말할 때)": {
        f"{k}개": replace(PLAIN, documents=((k, k, 1.0),)) for k in (3, 5, 10)
    },
    "숫자(문서 하나)": {
        "있을 법한 숫자": replace(PLAIN, any_numbers=0.0),
        "아무 숫자": replace(PLAIN, any_numbers=1.0),
    },
    "다른 일(문서 하나)": {
        "값을 JSON으로": replace(PLAIN, forms={"json": 1.0}),
        "문장으로": replace(PLAIN, forms={"sentence": 1.0}),
        "공손하게": replace(PLAIN, forms={"polite": 1.0}),
        "답이 있는지": replace(PLAIN, forms={"answerable": 1.0}),
        "색과 개수": replace(PLAIN, forms={"scene": 1.0}),
    },
}


def conversations(lessons: Lessons, count: int = COUNT, seed: int = SEED) -> list[list[dict[str, str]]]:
    """System, user and the right answer; of solved examples the last question, the earlier ones shown."""
    rng = Random(seed)
    return [make_conversation(rng, lessons) for _ in range(count)]


def share_right(model, tokenizer, lessons: Lessons, count: int = COUNT) -> float:
    """Share of the questions that are answered exactly."""
    asked = [turns[:3] for turns in conversations(lessons, count)]
    answers = generate_answers(model, tokenizer, [turns[:2] for turns in asked], max_new_tokens=48)
    return sum(a == turns[2]["content"] for a, turns in zip(answers, asked, strict=True)) / count


def share_after_examples(model, tokenizer, shown: bool, count: int = COUNT) -> float:
    """Share answered in the wording of the examples, with them in the prompt or without."""
    asked = conversations(Lessons(questions=1, forms={"example": 1.0}), count)
    prompts = [turns[:-1] if shown else [turns[0], turns[-2]] for turns in asked]
    answers = generate_answers(model, tokenizer, prompts, max_new_tokens=48)
    return sum(a == turns[-1]["content"] for a, turns in zip(answers, asked, strict=True)) / count


def share_asking(model, tokenizer, count: int = COUNT) -> float:
    """Share of the questions written that a document can be asked, in one of the wordings there are."""
    from data.build import language

    rng, right = Random(SEED), 0
    lessons = Lessons(questions=1, forms={"asking": 1.0})
    asked = [make_conversation(rng, lessons) for _ in range(count)]
    answers = generate_answers(model, tokenizer, [turns[:2] for turns in asked], max_new_tokens=48)
    wordings = [q.split("{e}")[1] for kind in language.KINDS for a in kind.attributes for q in a.questions]
    for answer, turns in zip(answers, asked, strict=True):
        text = turns[1]["content"]
        right += any(answer.endswith(w) and answer.removesuffix(w) in text for w in wordings)
    return right / count


def measure(count: int = COUNT) -> dict[str, dict[str, dict[str, float]]]:
    """Table -> row -> weights -> share."""
    tokenizer = load_tokenizer(PROFILE)
    result: dict = {}
    for weights in WEIGHTS:
        config = build_bnb_config(PROFILE) if weights == "nf4" else None
        model = load_base_model(PROFILE, quantization_config=config)
        for table, rows in TABLES.items():
            for row, lessons in rows.items():
                result.setdefault(table, {}).setdefault(row, {})[weights] = share_right(
                    model, tokenizer, lessons, count
                )
        other = result.setdefault("보인 예시를 따르기", {})
        for row, shown in (("예시 없이", False), ("예시를 보고", True)):
            other.setdefault(row, {})[weights] = share_after_examples(model, tokenizer, shown, count)
        result["다른 일(문서 하나)"].setdefault("물을 만한 질문 쓰기", {})[weights] = share_asking(
            model, tokenizer, count
        )
    return result


def tables(result: dict[str, dict[str, dict[str, float]]]) -> str:
    """The measured shares as Markdown."""
    parts = []
    for table, rows in result.items():
        parts.append(f"| {table} | bf16 | nf4 |\n|---|---|---|")
        parts[-1] += "".join(
            f"\n| {row} | {100 * shares['bf16']:.1f} % | {100 * shares['nf4']:.1f} % |"
            for row, shares in rows.items()
        )
    return "\n\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET / "measured.json")
    arguments = parser.parse_args()
    found = measure()
    arguments.out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(found))
