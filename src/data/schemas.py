"""What a row must hold, and why it was refused (pydantic v2).

A ``RawSample`` is one question with its document and answer; a ``RaftRecord`` is what training and evaluation read
(arXiv 2403.10131, section 3); a ``Conversation`` can be trained on beside records; a ``Reject`` keeps a refused row with the reason: rows read are rows accepted + refused.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

MIN_LENGTH, MAX_LENGTH = 5, 2048  # characters, after normalization; an answer may be as short as "3일"

# Ids are often numbers in JSON; every other field must already be text.
Identifier = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]


class RawSample(BaseModel):
    """One row after normalization. Upper length limits come with the validation context (``max_length``,
    ``max_context_length``), because other people's paragraphs are longer than ours; without one there is none."""

    id: Identifier
    group_id: Identifier
    question: str = Field(min_length=MIN_LENGTH)
    context: str = Field(min_length=MIN_LENGTH)
    answer: str = Field(min_length=1)
    topic: str = ""
    source: str = ""
    line: int = 0  # line of a CSV or JSON Lines file; position of the row (from 1) in a JSON file
    answer_start: int | None = None  # characters into ``context``
    warnings: list[str] = []  # what is suspicious about an accepted row, in Korean

    @field_validator("question", "context", "answer")
    @classmethod
    def _check_text(cls, text: str, info: ValidationInfo) -> str:
        if "\ufffd" in text:
            raise ValueError("깨진 글자(U+FFFD)가 있습니다. 원본 파일의 인코딩을 확인해 주세요.")
        limits = info.context or {}
        limit = limits.get("max_context_length" if info.field_name == "context" else "max_length")
        if limit is not None and len(text) > limit:
            raise ValueError(f"{len(text):,}자로 너무 깁니다. {limit:,}자 이하로 나누어 주세요.")
        return text


class RaftRecord(BaseModel):
    """One training or evaluation record; the fields after ``cot`` are never shown in a prompt."""

    id: str
    instruction: str
    context: list[str]  # documents in the order in which the prompt shows them
    question: str
    answer: str
    cot: str | None = None
    group_id: str
    golden_index: int | None  # position in ``context``; None where the golden document was left out
    answerable: bool
    n_tokens: int  # of the whole chat-templated prompt with its answer
    seed: int  # of this record's shuffle
    topic: str = ""
    source: str = ""  # the file or dataset that its row was read from


class Conversation(BaseModel):
    """Turns without documents: a dialogue, or an instruction with its answer, which is a dialogue of one turn each."""

    id: Identifier
    group_id: Identifier  # what must stay on one side of a split: a customer, a form of task
    messages: list[
        dict[str, str]
    ]  # ``role`` and ``content``: perhaps a system's, then user and assistant in turn
    learn: Literal["all", "last"] = "all"  # which of the assistant's turns are trained on
    source: str = ""
    line: int = 0

    @field_validator("messages", mode="before")
    @classmethod
    def _check_turns(cls, turns: Any) -> Any:
        """The order that chat templates expect, said before one of them stops the training."""
        opening = int(bool(turns) and turns[0].get("role") == "system")
        for number, turn in enumerate(turns, start=1):
            role, text = turn.get("role"), turn.get("content")
            due = ("user", "assistant")[(number - 1 - opening) % 2] if number > opening else "system"
            if role not in ("system", "user", "assistant"):
                raise ValueError(
                    f"{number}번째 말의 역할({role})을 모릅니다. system, user, assistant로 적어 주세요."
                )
            if not isinstance(text, str) or not text.strip():
                raise ValueError(
                    f"{number}번째 말의 내용이 비어 있거나 글이 아닙니다. 내용을 글로 적어 주세요."
                )
            if "\ufffd" in text:
                raise ValueError(
                    f"{number}번째 말에 깨진 글자(U+FFFD)가 있습니다. 원본 파일의 인코딩을 확인해 주세요."
                )
            if role != due:
                raise ValueError(
                    f"{number}번째는 {due}의 차례인데 {role}의 말입니다. "
                    "잇따른 말은 하나로 합치고, user의 말로 시작해 번갈아 적어 주세요."
                )
        if len(turns) < opening + 2:
            raise ValueError("assistant의 말이 없어 배울 것이 없습니다. 답을 더해 주세요.")
        if turns[-1]["role"] == "user":
            raise ValueError("user의 말로 끝나 배울 답이 없습니다. 답을 더하거나 마지막 말을 지워 주세요.")
        return turns

    @property
    def question(self) -> str:
        """All that the user says: what is compared when rows are divided and searched for repetitions."""
        return "\n".join(turn["content"] for turn in self.messages if turn["role"] == "user")

    @property
    def context(self) -> str:
        """All that is said, by which equal conversations stay together when rows are divided."""
        return "\n".join(turn["content"] for turn in self.messages)


class Reject(BaseModel):
    """A refused row: where it came from, which field, why (in Korean), and the row as it was read."""

    source: str = ""
    line: int = 0
    field: str = ""
    reason: str
    row: Any = None


def golden_document(record: RaftRecord | RawSample) -> str | None:
    """The document that a record's answer came from; None where it was left out."""
    if isinstance(record, RawSample):
        return record.context
    return None if record.golden_index is None else record.context[record.golden_index]
