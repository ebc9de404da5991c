"""The base with solved examples in its prompt: what people do instead of fine-tuning, and so its fairest rival."""

from collections.abc import Sequence
from random import Random
from typing import Any

from src.data.schemas import RaftRecord
from src.generation.generate import Messages, generate_answers
from src.profiles import Profile
from src.raft.prompt import to_messages


def few_shot_examples(profile: Profile, records: Sequence[RaftRecord]) -> list[list[dict[str, str]]]:
    """Solved training records to show the base (``generate_few_shot``): ``profile.few_shot_examples``
    of the shorter half, drawn with the seed, the last of them one without an answer where there are two or more."""
    lengths = sorted(record.n_tokens for record in records)
    short = [record for record in records if record.n_tokens <= lengths[len(lengths) // 2]]
    kinds = [[record for record in short if record.answerable is answerable] for answerable in (True, False)]
    count = profile.few_shot_examples
    abstaining = min(len(kinds[1]), 1 if count > 1 else 0)
    rng = Random(profile.seed)
    chosen = rng.sample(kinds[0], min(count - abstaining, len(kinds[0]))) + rng.sample(kinds[1], abstaining)
    return [to_messages(record) for record in chosen]


def generate_few_shot(
    model: Any, tokenizer: Any, messages: Sequence[Messages], examples: Sequence[Messages], **options: Any
) -> list[str]:
    """The base's answers when each prompt shows ``examples`` first: what people do instead of fine-tuning."""
    shown = [with_examples(turns, examples) for turns in messages]
    with model.disable_adapter():
        return generate_answers(model, tokenizer, shown, label="예시를 준 베이스", **options)


def with_examples(messages: Messages, examples: Sequence[Messages]) -> list[dict]:
    """``messages`` with solved ``examples`` as earlier turns of the conversation (Brown et al. 2020, arXiv 2005.14165).

    Both come from ``to_messages``, the examples with their answers, so that every turn has the form of the tuned
    model's prompt; the instruction stands once, on top.

    Raises:
        ValueError: an example without an answer.
    """
    if any(example[-1]["role"] != "assistant" for example in examples):
        raise ValueError(
            "예시에 답이 없습니다. to_messages(record)처럼 with_answer를 끄지 말고 만들어 주세요."
        )
    system = [turn for turn in messages if turn["role"] == "system"]
    solved = [turn for example in examples for turn in example if turn["role"] != "system"]
    return [*system, *solved, *(turn for turn in messages if turn["role"] != "system")]
