"""Records become token ids with labels on the answer only, and labels are audited before an hour is spent on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from src.raft.prompt import render_chat, to_messages

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORE = -100  # the label that cross-entropy leaves out


class LabelAuditError(ValueError):
    """The labels would teach something else than the answers; the message says what and how to mend it."""


def tokenize_records(records: Sequence, tokenizer: PreTrainedTokenizerBase, max_seq_length: int) -> Dataset:
    """``input_ids``, ``attention_mask`` and ``labels`` of each record, unpadded, all three equally long.

    Labels are the assistant's answer with its EOS, of a ``Conversation`` each of its answers or the last, as its
    ``learn`` says; all else, also what a template writes after EOS, is -100. A record longer than ``max_seq_length`` tokens is left out and told, never cut: evidence or EOS would be gone.

    Raises:
        ValueError: what precedes an answer is, in tokens, not the beginning of the whole, or nothing is left.
    """
    from datasets import Dataset

    rows = [_tokenize(record, tokenizer) for record in records]
    kept = [row for row in rows if len(row["input_ids"]) <= max_seq_length]
    if refused := len(rows) - len(kept):
        longest = max(len(row["input_ids"]) for row in rows)
        print(
            f"{len(rows)}건 가운데 {refused}건은 {max_seq_length}토큰보다 길어 제외했습니다(가장 긴 것 {longest}토큰). "
            "쓰려면 max_seq_length를 늘리거나 max_context_tokens를 줄여 주세요."
        )
    if not kept:
        raise ValueError(
            f"학습할 레코드가 없습니다({len(rows)}건 모두 제외). 입력 파일과 max_seq_length를 확인해 주세요."
        )
    return Dataset.from_list(kept)


def _tokenize(record, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    def encode(turns: Sequence[dict], **options: bool) -> list[int]:
        return tokenizer(render_chat(tokenizer, turns, **options), add_special_tokens=False)["input_ids"]

    messages = to_messages(record)
    ids = encode(messages)
    labels = [IGNORE] * len(ids)
    for turn in _learned(record, messages):
        prompt = encode(messages[:turn], add_generation_prompt=True)
        through = ids if turn + 1 == len(messages) else encode(messages[: turn + 1])
        start, end = len(prompt), len(through)
        if ids[:start] != prompt or ids[:end] != through:
            raise ValueError(_NO_PREFIX + (_LAST_ONLY if turn + 1 < len(messages) else ""))
        answer = ids[start:end]
        if tokenizer.eos_token_id in answer:  # some templates write a line break after EOS: not to be learned
            end -= answer[::-1].index(tokenizer.eos_token_id)
        labels[start:end] = ids[start:end]
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def _learned(record, messages: Sequence[dict]) -> list[int]:
    """Positions of the messages that are trained on: the last, and where a record says so every answer before it."""
    learn = record.get("learn") if isinstance(record, Mapping) else getattr(record, "learn", None)
    last = len(messages) - 1
    return [
        i for i, turn in enumerate(messages) if (turn["role"] == "assistant" and learn == "all") or i == last
    ]


_NO_PREFIX = (
    "프롬프트가 전체 대화의 앞부분과 토큰 단위로 일치하지 않아 답변의 시작을 찾을 수 없습니다. "
    "채팅 템플릿의 add_generation_prompt 부분이 답변 바로 앞까지와 같은지 확인해 주세요."
)
# Templates that take the reasoning out of earlier answers write them otherwise than when they were given.
_LAST_ONLY = " 지난 답변을 다르게 적는 템플릿이면 learn='last'로 마지막 답변만 학습할 수 있습니다."

# What is wrong with some rows, and how to mend it.
_PROBLEMS = {
    "nothing": "학습할 토큰이 하나도 없습니다. 답변이 잘렸거나 비어 있는지 확인해 주세요.",
    "everything": "질문과 문맥까지 모두 학습합니다. 프롬프트 부분의 라벨을 -100으로 바꿔 주세요.",
    "no_eos": "답변 끝의 EOS가 라벨에 없어 모델이 멈추는 법을 배우지 못합니다. "
    "답변이 잘리지 않고 EOS로 끝나는지, pad_token을 eos_token으로 바꾸지 않았는지 확인해 주세요.",
    "cut": "라벨이 레코드의 답변 전체와 다릅니다. 답변이 잘렸는지 확인하고, "
    "길이를 맞추려면 자르지 말고 max_seq_length를 늘려 주세요.",
    "mask": "배울 답변이 빠졌거나 답변이 아닌 말까지 배웁니다. 레코드의 learn이 고른 답변에만 라벨을 두어 주세요.",
    "strange": "프롬프트가 레코드의 것과 다릅니다. 문맥이 잘렸거나 채팅 템플릿이 다른지 확인해 주세요.",
    "padded": "패딩이 손실에 들어갑니다. 패딩 자리의 라벨을 -100으로 바꿔 주세요.",
    "double_bos": "BOS가 두 번 들어갑니다. 채팅 템플릿을 쓴 글은 add_special_tokens=False로 토큰화해 주세요.",
}


def audit_labels(
    dataset: Dataset, tokenizer: PreTrainedTokenizerBase, records: Sequence | None = None
) -> dict:
    """Read the labels as the loss will, before an hour is spent on them.

    With ``records`` (those the rows were made from, in any order) each row's prompt and answers must also be a
    record's, whole: a cut answer with a fresh EOS behind it, a cut context, or labels on another turn of a dialogue
    than the one that was chosen look right without them.

    Returns counts over the data set and the first record's decoded ``masked`` and ``supervised`` parts.

    Raises:
        LabelAuditError: in some record no token or every token is supervised, an answer's EOS is not a label,
            padding is in the loss, BOS stands twice at the beginning, prompt or answer were cut, or other turns than
            those chosen are supervised.
    """
    known = _known(records, tokenizer) if records is not None else None
    found = Counter(problem for row in dataset for problem in _problems(row, tokenizer, known))
    lines = [f"- {found[name]}건은 {text}" for name, text in _PROBLEMS.items() if found[name]]
    if not len(dataset):
        lines = ["- 데이터가 비어 있습니다. tokenize_records의 입력을 확인해 주세요."]
    if lines:
        raise LabelAuditError("\n".join(["라벨 점검에서 문제를 찾았습니다.", *lines]))
    lengths = [len(row["input_ids"]) for row in dataset]
    supervised = sum(label != IGNORE for row in dataset for label in row["labels"])
    ids, labels = dataset[0]["input_ids"], dataset[0]["labels"]
    return {
        "records": len(dataset),
        "tokens": sum(lengths),
        "supervised_tokens": supervised,
        "supervised_share": supervised / sum(lengths),
        "longest": max(lengths),
        "masked": tokenizer.decode(
            [token for token, label in zip(ids, labels, strict=True) if label == IGNORE]
        ),
        "supervised": tokenizer.decode([label for label in labels if label != IGNORE]),
    }


def _problems(
    row: dict, tokenizer: PreTrainedTokenizerBase, known: dict[tuple, set[tuple]] | None
) -> Iterator[str]:
    """Which of ``_PROBLEMS`` a row has; ``known`` as ``_known`` gives it."""
    eos, pad, bos = tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id
    ids, labels = row["input_ids"], row["labels"]
    answers = _answers(labels)
    supervised = sum(map(len, (targets for _, targets in answers)))
    if not answers:
        yield "nothing"
    elif not all(_stops(targets, tokenizer) for _, targets in answers):
        yield "no_eos"
    if supervised == len(labels) > 0:
        yield "everything"
    if any(
        label != IGNORE and (not seen or (token == pad and pad != eos))
        for token, seen, label in zip(ids, row["attention_mask"], labels, strict=True)
    ):
        yield "padded"
    if bos is not None and ids[:2] == [bos, bos]:
        yield "double_bos"
    if known is not None and answers and supervised < len(labels):
        if (right := known.get(tuple(ids))) and answers not in right:
            yield "mask"
        elif not right:
            right = known.get(tuple(ids[: answers[0][0]]), ())
            if answers not in right:
                yield "cut" if right else "strange"


def _stops(targets: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether EOS is learned, with nothing but a template's white space behind it."""
    eos = tokenizer.eos_token_id
    behind = targets[::-1].index(eos) if eos in targets else None
    return behind == 0 or (behind is not None and not tokenizer.decode(targets[-behind:]).strip())


def _answers(labels: Sequence[int]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Each stretch of labels without a gap: where it begins, and the labels."""
    runs = groupby(enumerate(labels), key=lambda pair: pair[1] != IGNORE)
    stretches = (list(stretch) for learned, stretch in runs if learned)
    return tuple((stretch[0][0], tuple(label for _, label in stretch)) for stretch in stretches)


def _known(records: Sequence, tokenizer: PreTrainedTokenizerBase) -> dict[tuple, set[tuple]]:
    """The answers that belong to each record's tokens, and to those before its first answer (either may occur twice)."""
    known: dict[tuple, set[tuple]] = {}
    for row in (_tokenize(record, tokenizer) for record in records):
        ids, answers = row["input_ids"], _answers(row["labels"])
        for beginning in (ids, ids[: answers[0][0]]):
            known.setdefault(tuple(beginning), set()).add(answers)
    return known


def label_pieces(row: dict, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
    """A tokenized row as (text, supervised) pieces: a token each, or those that only together make a character."""
    pieces: list[tuple[str, bool]] = []
    held: list[int] = []
    labels = row["labels"]
    for i, token in enumerate(row["input_ids"]):
        held.append(token)
        text, supervised = tokenizer.decode(held), labels[i] != IGNORE
        last = i + 1 == len(labels) or (labels[i + 1] != IGNORE) != supervised
        if last or "\ufffd" not in text:
            pieces.append((text, supervised))
            held = []
    return pieces
