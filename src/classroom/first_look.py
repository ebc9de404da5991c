"""The day in seconds, before any theory: a very short training on the tiny base, and its answers before and after."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from src.classroom import practice
from src.data.schemas import RaftRecord
from src.raft.prompt import to_messages

KINDS = {  # (right before, right after): what a learner reads
    (False, True): "틀림 → 맞음",
    (True, False): "맞음 → 틀림",
    (False, False): "틀림 → 틀림",
    (True, True): "맞음 → 맞음",
}


@dataclass(frozen=True)
class FirstLook:
    """What was asked and both models' answers, in the same order."""

    asked: Sequence[RaftRecord]
    before: Sequence[str]
    after: Sequence[str]

    def kinds(self) -> list[str]:
        """A value of ``KINDS`` for each question; right is the reference's own wording, value and form."""
        from src.scoring.correctness import compute_exact_match

        references = [record.answer for record in self.asked]
        both = (compute_exact_match(said, references, per_sample=True) for said in (self.before, self.after))
        return [KINDS[a > 0, b > 0] for a, b in zip(*(score["per_sample"] for score in both), strict=True)]

    def counts(self) -> list[tuple[str, int]]:
        counted = Counter(self.kinds())
        return [(kind, counted[kind]) for kind in KINDS.values()]

    def examples(self) -> list[tuple[str, str, str, str, str]]:
        """(kind, question, reference, before, after): the first question of each kind that occurs."""
        kinds = self.kinds()
        first = ((kind, kinds.index(kind)) for kind in KINDS.values() if kind in kinds)
        return [
            (kind, self.asked[i].question, self.asked[i].answer, self.before[i], self.after[i])
            for kind, i in first
        ]


def take_first_look() -> FirstLook:
    """Train an adapter for a few dozen steps and ask it questions on documents it was not trained on, with the adapter
    off and on: the tiny base and the tiny profile's data, whatever profile runs.

    Raises:
        RuntimeError: the training could not be done; the message is what stopped it.
    """
    from src.generation.generate import generate_base_and_tuned
    from src.qlora.loading import free_memory

    # No validation on the way, and larger steps than a drill's: seconds, of which something is to be seen.
    attempt = practice.attempt(eval_steps=1000, learning_rate=2 * practice.PRACTICE.learning_rate)
    if attempt.error:
        raise RuntimeError(str(attempt.error))
    asked = practice.records()["validation"]
    messages = [to_messages(record, with_answer=False) for record in asked]
    room = practice.PRACTICE.max_new_tokens
    answers = generate_base_and_tuned(attempt.model, practice.tokenizer(), messages, max_new_tokens=room)
    del attempt
    free_memory()
    return FirstLook(asked, *answers)
