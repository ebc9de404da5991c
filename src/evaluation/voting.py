"""Several answers to one question: which of them wins, and how many agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from src.raft.answers import is_abstention, strip_answer_form
from src.scoring.correctness import normalize_answer
from src.scoring.tokenizers import check_lengths


@dataclass(frozen=True)
class Vote:
    """The answer that most of ``asked`` gave, in the words of the first who gave it."""

    answer: str
    votes: int
    asked: int

    @property
    def unanimous(self) -> bool:
        """Whether everybody gave it."""
        return self.votes == self.asked


def same_answer(answer: str) -> str:
    """Equal for answers that say the same in the same words: without form and final punctuation; every abstention."""
    return "" if is_abstention(answer) else normalize_answer(strip_answer_form(answer))


def majority(rounds: Sequence[Sequence[str]]) -> list[Vote]:
    """One vote a question (self-consistency, Wang et al. 2022, arXiv 2203.11171): ``rounds`` holds the answers to all
    questions as often as they were asked. Of answers with equally many votes the one that came first wins.

    Raises:
        ValueError: no round, or one of another length.
    """
    if not rounds:
        raise ValueError("답을 모은 것이 없습니다. 같은 질문을 한 번 이상 물은 답을 넣어 주세요.")
    check_lengths({f"{number}번째로 모은 답": answers for number, answers in enumerate(rounds, start=1)})
    result = []
    for answers in zip(*rounds, strict=True):
        says = [same_answer(answer) for answer in answers]
        winner, votes = Counter(says).most_common(1)[0]  # first come, first counted
        result.append(Vote(answers[says.index(winner)], votes, len(answers)))
    return result
