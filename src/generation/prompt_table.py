"""Several prompts put to the same questions: every call kept in one CSV file, with what it costs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src.data.sheets import line_names
from src.data.text import fingerprint
from src.generation.call_sheet import CallSheet, answer_tokens, read_call_sheet
from src.generation.generate import Messages, generate_answers, prompt_ids


@contextmanager
def count_calls(model: Any) -> Iterator[list[int]]:
    """A list that grows by one number with every forward pass of ``model`` within: the rows of its batch."""
    calls: list[int] = []

    def seen(_: Any, args: Any, inputs: Mapping[str, Any]) -> None:
        calls.append(len(inputs["input_ids"] if "input_ids" in inputs else args[0]))

    inner = (
        model.get_base_model() if hasattr(model, "peft_config") else model
    )  # PEFT generates with the inner one
    handle = inner.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def ask_prompts(
    model: Any,
    tokenizer: Any,
    prompts: Mapping[str, Sequence[Messages]],
    sheet: str | Path,
    *,
    max_new_tokens: int,
    **options: Any,
) -> Any:
    """A pandas table, one call a row: ``프롬프트`` (a key of ``prompts``), ``질문`` (place in its list), ``입력 토큰``,
    ``출력 토큰``, ``답``.

    ``prompts`` holds, by name, the conversations of one way to ask. Answers are looked up in the CSV file ``sheet``
    and added to it (``generate_answers``, which takes the ``options``); printed lines say how many were asked anew,
    and what in the file could not be read or belongs to other prompts, models or settings.

    Raises:
        ValueError: ``sheet`` is a file of something else.
    """
    import pandas as pd

    before = read_call_sheet(sheet)
    ids = {name: prompt_ids(model, tokenizer, asked, max_new_tokens) for name, asked in prompts.items()}
    answers = {
        name: generate_answers(
            model, tokenizer, asked, max_new_tokens=max_new_tokens, cache=sheet, label=name, **options
        )
        for name, asked in prompts.items()
    }
    new = len(read_call_sheet(sheet).rows) - len(before.rows)
    distinct = len({fingerprint(row) for rows in ids.values() for row in rows})
    print(*_notes(Path(sheet).name, before, new, distinct), sep="\n")
    return pd.DataFrame(
        {
            "프롬프트": name,
            "질문": number,
            "입력 토큰": len(row),
            "출력 토큰": answer_tokens(tokenizer, answer),
            "답": answer,
        }
        for name in prompts
        for number, (row, answer) in enumerate(zip(ids[name], answers[name], strict=True))
    )


def _notes(name: str, before: CallSheet, new: int, distinct: int) -> Iterator[str]:
    """What a learner is told about the file as it was found, and about this run."""
    if before.empty:
        yield f"{name}은(는) 비어 있는 파일이었습니다. 처음부터 묻고 여기에 모았습니다."
    if before.damaged:
        yield (
            f"{name}의 {line_names(before.damaged)}은 쓰다가 끊겼거나 바뀌어 읽지 못했습니다. "
            f"나머지 답 {len(before.rows):,}개는 그대로 있습니다."
        )
    reused = distinct - new
    if others := len(before.rows) - reused:
        yield f"{name}의 답 {others:,}개는 다른 프롬프트나 모델, 설정의 것이라 쓰지 않고 그대로 두었습니다."
    yield f"새로 물은 것 {new:,}개, 저장해 둔 답을 쓴 것 {reused:,}개"
