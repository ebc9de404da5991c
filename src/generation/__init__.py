"""Messages become answers (notebooks 03 and 04).

In: a model and chat messages. Out: one answer each, batched, kept across interruptions.
"""

from src.generation.answer_cache import AnswerCache, fingerprint
from src.generation.generate import (
    generate_answers,
    generate_base_and_tuned,
    generate_few_shot,
    with_examples,
)

__all__ = [
    "AnswerCache",
    "fingerprint",
    "generate_answers",
    "generate_base_and_tuned",
    "generate_few_shot",
    "with_examples",
]
