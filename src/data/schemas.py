"""What a row must hold, and why it was refused (pydantic v2).

A ``RawSample`` is one question with its document and answer; a ``RaftRecord`` is what training and evaluation read
(arXiv 2403.10131, section 3); a ``Reject`` keeps a refused row with the reason: rows read are rows accepted + refused.
"""

from typing import Annotated, Any

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
