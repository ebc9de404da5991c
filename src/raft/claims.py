"""Pairs to classify out of records: does a document answer the question, and does it bear a claimed answer out?"""

import re
from collections import defaultdict
from collections.abc import Sequence
from random import Random

from src.data.pairs import Pair
from src.data.schemas import RaftRecord
from src.raft.answers import answer_cores, strip_answer_form
from src.raft.evidence import holds_answer
from src.raft.prompt import INSTRUCTION, to_messages

UNASKED = "이 문서로 말할 수 있는 것은 무엇인가요?"  # of a hypothesis that answers no question (KLUE-NLI)


def answerability_pairs(records: Sequence[RaftRecord], seed: int) -> list[Pair]:
    """Of each record one document and the question; label 1 where that document answers it. What has no golden document
    shows one of its distractors: so the shares are the records' own, and a short prompt is enough."""
    draw = Random(seed)
    return [
        Pair(
            record.context[record.golden_index] if record.answerable else draw.choice(record.context),
            record.question,
            "",
            int(record.answerable),
            record.group_id,
        )
        for record in records
    ]


def nli_pairs(records: Sequence[RaftRecord], seed: int) -> list[Pair]:
    """Three pairs of each answerable record that allows them: its document with its answer (0, entailment), another of
    its documents with the same answer (1, neutral), its document with another record's answer of the same form
    (2, contradiction: "310W입니다." for "450W입니다.").

    Nobody wrote these hypotheses to fit a label, so that they do not tell it: two of three are the same text.
    """
    draw = Random(seed)
    forms: defaultdict[str, set[str]] = defaultdict(set)
    asked = [record for record in records if record.answerable and len(record.context) > 1]
    for record in asked:
        answer = strip_answer_form(record.answer)
        forms[_form(answer)].add(answer)
    rivals = {form: sorted(answers) for form, answers in forms.items()}
    pairs = []
    for record in asked:
        document, answer = record.context[record.golden_index], strip_answer_form(record.answer)
        others = [d for place, d in enumerate(record.context) if place != record.golden_index]
        drawn = draw.sample(rivals[_form(answer)], len(rivals[_form(answer)]))
        wrong = next((a for a in drawn if a != answer and not holds_answer(document, a)), None)
        if wrong:
            claims = ((document, answer), (draw.choice(others), answer), (document, wrong))
            pairs += [
                Pair(premise, record.question, claim, label, record.group_id)
                for label, (premise, claim) in enumerate(claims)
            ]
    return pairs


def _form(answer: str) -> str:
    return re.sub(r"\d+", "0", answer)


def pair_messages(pair: Pair, *, joined: bool = False) -> list[dict[str, str]]:
    """The chat that shows a pair to a model: document and question as in the day's prompts, a claim behind its question;
    ``joined``: premise and hypothesis with nothing between them."""
    if joined:
        row = {"instruction": INSTRUCTION, "context": [], "question": "", "answer": ""}
        messages = to_messages(row, with_answer=False)
        return [messages[0], {**messages[1], "content": pair.premise + pair.hypothesis}]
    row = {"instruction": INSTRUCTION, "context": [pair.premise], "question": pair.hypothesis, "answer": ""}
    return to_messages(row, with_answer=False)


def as_record(pair: Pair) -> dict:
    """The pair as a record to be answered, the bare value that it claims ("310W") as the answer: how likely is that
    after reading the premise? How a model would word the rest is not what is asked."""
    answer = " ".join(answer_cores(pair.claim)) or pair.claim
    question = pair.question or UNASKED
    return {"instruction": INSTRUCTION, "context": [pair.premise], "question": question, "answer": answer}
