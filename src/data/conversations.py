"""Rows of dialogue and of plain instructions become conversations, in the three forms that people have.

``messages`` of ``{"role", "content"}``; ``conversations`` of ``{"from", "value"}`` (ShareGPT); ``instruction``, ``input``
and ``output`` (Alpaca), also as the columns of a CSV file. No row is ever lost: what cannot be trained on comes back as
a ``Reject`` with its place and a reason.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from src.data.json_rows import Unreadable
from src.data.reading import ALIASES, open_rows, plain_name
from src.data.schemas import Conversation, Reject
from src.data.text import normalize_text, repair_mojibake
from src.data.validation import explain

# Our names -> the names seen in the wild, the first that is filled counts; compared as in ``src.data.reading``.
NAMES = {
    "messages": ("messages", "conversations", "대화"),
    "system": ("system", "system_prompt"),
    "instruction": ("instruction", "prompt", *ALIASES["question"], "지시"),
    "input": ("input", "입력"),
    "output": ("output", "response", "completion", *ALIASES["answer"], "출력"),
    "context": ALIASES["context"],
    "id": ALIASES["id"],
    "group_id": ALIASES["group_id"],
}
ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's names -> the chat templates'


def load_conversations(
    source: str | Path,
    *,
    learn: Literal["all", "last"] = "all",
    fields: Mapping[str, str] | None = None,
    **dataset: Any,
) -> tuple[list[Conversation], list[Reject]]:
    """Conversations of a file or a dataset, and the rows that are none; rows read = accepted + refused.

    Args:
        source, dataset: as for ``iter_samples``.
        learn: of each conversation, the assistant's turns that are trained on.
        fields: our names (``NAMES``) -> the file's own, e.g. ``{"instruction": "문의", "output": "회신"}``.
    """
    if unknown := sorted(set(fields or {}) - set(NAMES)):
        raise ValueError(
            f"fields에 모르는 이름 {', '.join(unknown)}이 있습니다. {', '.join(NAMES)} 가운데에서 골라 주세요."
        )
    rows, name, stem = open_rows(source, **dataset)
    names = NAMES | {our: (theirs,) for our, theirs in (fields or {}).items()}
    columns = {our: list(map(plain_name, theirs)) for our, theirs in names.items()}
    accepted: list[Conversation] = []
    rejects: list[Reject] = []
    for line, row in rows:
        place = {"source": name, "line": line}
        try:
            ours = _our_names(row, columns)
            number = str(ours["id"] or f"{stem}-{line}")
            about = {"id": number, "group_id": ours["group_id"] or number, "learn": learn, **place}
            accepted.append(Conversation(**about, messages=_messages(ours)))
        except ValidationError as error:
            field, reason = explain(error)
            rejects.append(Reject(**place, field=field, reason=reason, row=row))
        except _Refused as error:
            kept = row.row if isinstance(row, Unreadable) else row
            rejects.append(Reject(**place, reason=str(error), row=kept))
    return accepted, rejects


class _Refused(Exception):
    """Why, in Korean."""


def _our_names(row: Any, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    if isinstance(row, Unreadable):
        raise _Refused(row.reason)
    if not isinstance(row, Mapping):
        raise _Refused("이름 있는 칸({ … })으로 된 행이 아닙니다.")
    own = {plain_name(str(key)): value for key, value in row.items() if value is not None and value != ""}
    return {our: next((own[name] for name in theirs if name in own), None) for our, theirs in columns.items()}


def _messages(ours: Mapping[str, Any]) -> list[Any]:
    """The row's turns as ``{"role", "content"}``; whether they can be trained on, ``Conversation`` says."""
    first = [] if ours["system"] is None else [("system", ours["system"])]
    if ours["messages"] is not None:
        if not isinstance(ours["messages"], list):
            raise _Refused("대화(messages)가 말의 목록([ … ])이 아닙니다.")
        turns = [_turn(turn) for turn in ours["messages"]]
    elif ours["instruction"] is None or ours["output"] is None:
        raise _Refused(
            "messages(대화)도, instruction(지시)과 output(답)도 없거나 비어 있습니다. "
            "다른 이름의 칸에 있다면 fields로 알려 주세요."
        )
    elif ours["context"] is not None:
        raise _Refused(
            "근거가 되는 문서 칸이 있습니다. 문서를 읽고 답하도록 prepare로 읽어 RAFT 레코드로 만들어 주세요."
        )
    else:
        parts = [ours["instruction"], *([] if ours["input"] is None else [ours["input"]])]
        asked = "\n".join(parts) if all(isinstance(part, str) for part in parts) else parts
        turns = [("user", asked), ("assistant", ours["output"])]
    return [{"role": role, "content": _clean(text)} for role, text in [*first, *turns]]


def _turn(turn: Any) -> tuple[Any, Any]:
    if not isinstance(turn, Mapping):
        raise _Refused('말 하나는 {"role": …, "content": …}이나 {"from": …, "value": …}여야 합니다.')
    role = turn.get("role", turn.get("from"))
    return ROLES.get(role, role) if isinstance(role, str) else role, turn.get("content", turn.get("value"))


def _clean(text: Any) -> Any:
    """Normalized line by line: lists and paragraphs keep their lines, unlike documents."""
    if not isinstance(text, str):
        return text
    mended = repair_mojibake(text)
    if mended is None:
        raise _Refused("글자가 깨져 있습니다(인코딩이 뒤섞임). 원본 파일에서 다시 저장해 주세요.")
    return "\n".join(map(normalize_text, mended.split("\n"))).strip()
