"""Votes over several answers to the same questions."""

from __future__ import annotations

import pytest

from src.evaluation.voting import majority
from src.raft.answers import ABSTENTION


def test_the_most_frequent_answer_wins_and_form_does_not_split_votes():
    rounds = [["310W입니다.", "가"], ["문맥에 따르면 310W입니다", "나"], ["290W입니다.", "나"]]
    first, second = majority(rounds)
    assert (first.answer, first.votes, first.asked, first.unanimous) == ("310W입니다.", 2, 3, False)
    assert (second.answer, second.votes) == ("나", 2)


def test_every_way_to_abstain_is_one_vote():
    (vote,) = majority([["310W"], [ABSTENTION], ["문서에 답이 없습니다."]])
    assert vote.answer == ABSTENTION and vote.votes == 2


def test_a_tie_goes_to_the_first_that_was_given():
    assert [vote.answer for vote in majority([["나", "가"], ["가", "나"]])] == ["나", "가"]


def test_one_round_is_itself_and_unanimous():
    assert all(vote.unanimous for vote in majority([["가", "나"]]))


@pytest.mark.parametrize("rounds", [[], [["가"], ["가", "나"]], [[]]])
def test_bad_rounds_are_refused_in_korean(rounds):
    with pytest.raises(ValueError, match=r"답을 모은 것이|목록의 수가|견줄 질문이"):
        majority(rounds)
