"""Rows of files and hub datasets under our names; values stay as they are."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from src.data.files import SUFFIXES, read_rows
from src.data.json_rows import Unreadable
from src.data.text import document_key
from src.hub.cache import HubItem
from src.hub.fetching import fetch

# Column names seen in the wild -> our names; compared without white space and case.
ALIASES = {
    "id": ("id", "번호"),
    "group_id": ("group_id", "product", "제품"),
    "topic": ("topic", "category", "분류", "주제"),
    "question": ("question", "q", "질문"),
    "context": ("context", "doc", "document", "본문", "문서", "문맥"),
    "answer": ("answer", "a", "답변", "정답", "답"),
    "answer_start": ("answer_start",),
}
# Taken where the row has none of the names above: a title beside a product is only the document's title.
FALLBACKS = {"group_id": ("title", "제목"), "id": ("guid",)}
TEXT_FIELDS = ("question", "context", "answer")

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load_samples(source: str | Path, **options: Any) -> list[dict[str, Any]]:
    """All rows of ``iter_samples``; its arguments and errors are the same."""
    return list(iter_samples(source, **options))


def iter_samples(
    source: str | Path,
    *,
    fields: Mapping[str, str] | None = None,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Rows of a file or a dataset, one at a time; values stay as they are.

    Args:
        source: a ``.json`` (array, or SQuAD form), ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file, text in UTF-8
            (with or without BOM) or CP949; or the id of a hub dataset (``"KorQuAD/squad_kor_v1"``) or the folder
            of a local one.
        fields: our names -> the file's own names, e.g. ``{"question": "문의 내용"}``, where they are not
            recognised by themselves (``ALIASES``).
        split, config, revision: of a dataset; without meaning for a file.

    Yields:
        One dict a row with ``id, group_id, question, context, answer, topic, source, line`` and ``answer_start``
        where there is one: of several ``answers`` the first. A row that cannot be read, or that is marked as having
        no answer, has the reason in ``error`` and what was read in ``row``.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds no rows in a form known here.
        HubError (a ConnectionError): the dataset is neither in the cache nor to be had from the hub.
    """
    unknown = set(fields or {}) - set(ALIASES)
    if unknown:
        raise ValueError(
            f"fields에 모르는 이름 {', '.join(sorted(unknown))}이 있습니다. {', '.join(ALIASES)} 가운데에서 골라 주세요."
        )
    rows, name, stem = open_rows(source, split=split, config=config, revision=revision)
    columns = {our: list(map(plain_name, aliases)) for our, aliases in ALIASES.items()}
    columns |= {our: [plain_name(theirs)] for our, theirs in (fields or {}).items()}
    return (
        {**_sample(row, f"{stem}-{line}", columns, fields or {}), "source": name, "line": line}
        for line, row in rows
    )


def open_rows(
    source: str | Path, *, split: str = "train", config: str | None = None, revision: str | None = None
) -> tuple[Iterator[tuple[int, Any]], str, str]:
    """(line, row) of a file or a dataset, its name, and what ids of rows without one begin with; arguments and errors
    as for ``iter_samples``."""
    path = Path(source)
    if path.is_file():
        return read_rows(path), path.name, path.stem
    if path.is_dir() or (_HUB_ID.fullmatch(str(source)) and path.suffix.lower() not in SUFFIXES):
        name = ":".join(filter(None, (path.name if path.is_dir() else str(source), config, split)))
        return enumerate(_read_dataset(str(source), split, config, revision), start=1), name, name
    raise FileNotFoundError(f"{source} 파일이 없습니다. 경로와 파일 이름을 확인해 주세요.")


def plain_name(name: str) -> str:
    """A column's name as ``ALIASES`` has it."""
    return re.sub(r"\s+", "", name).lower()


def _sample(
    row: Any, default_id: str, columns: Mapping[str, list[str]], fields: Mapping[str, str]
) -> dict[str, Any]:
    if not isinstance(row, (dict, Unreadable)):
        row = Unreadable("이름 있는 칸({ … })으로 된 행이 아닙니다.", row)
    if isinstance(row, Unreadable):
        return {"error": row.reason, "row": row.row}
    own: dict[str, list[tuple[str, Any]]] = {}
    for key, value in row.items():
        own.setdefault(plain_name(str(key)), []).append((key, value))
    sample: dict[str, Any] = {"id": None, "group_id": None, "topic": None}
    error = None
    for name, aliases in columns.items():
        present = [pair for alias in aliases for pair in own.get(alias, ())]
        filled = [pair for pair in present if pair[1] is not None and pair[1] != ""]
        different = [key for key, value in filled if value != filled[0][1]]
        if different:
            error = (
                f"'{filled[0][0]}' 칸과 '{different[0]}' 칸이 모두 {name}을(를) 뜻하는데 값이 다릅니다. "
                f"하나만 남기거나 fields={{'{name}': '칸 이름'}}으로 골라 주세요."
            )
        if present:
            sample[name] = (filled or present)[0][1]
    for name, aliases in FALLBACKS.items():
        values = [value for alias in aliases for _, value in own.get(alias, ())]
        if sample[name] in (None, "") and values and name not in fields:
            sample[name] = values[0]
    if sample.get("answer") is None and "answers" in row:
        sample |= _first_answer(row["answers"])
    if str(row.get("is_impossible")).lower() in ("true", "1"):
        error = "답이 없는 질문(is_impossible)입니다. 답으로 적힌 것은 그럴듯한 오답일 수 있어 쓰지 않습니다."
    if sample["id"] in (None, ""):
        sample["id"] = default_id
    context = sample.get("context")
    if sample["group_id"] in (None, ""):
        sample["group_id"] = document_key(context) if isinstance(context, str) else sample["id"]
    sample = {key: value for key, value in sample.items() if value is not None or key in TEXT_FIELDS}
    return sample if error is None else sample | {"error": error, "row": row}


def _first_answer(answers: Any) -> dict[str, Any]:
    """``answer`` and ``answer_start`` of ``{"text": […], "answer_start": […]}``, of a list of ``{"text",
    "answer_start"}`` or of texts, or of one text."""
    if isinstance(answers, dict):
        first = {"answer": answers.get("text"), "answer_start": answers.get("answer_start")}
        first = {name: value[:1] if isinstance(value, list) else [value] for name, value in first.items()}
        return {name: value[0] for name, value in first.items() if value}
    if isinstance(answers, list):
        first = answers[0] if answers else None
        return _first_answer(first) if isinstance(first, dict) else {"answer": first}
    return {"answer": answers}


def _read_dataset(dataset: str, split: str, config: str | None, revision: str | None) -> Iterator[Any]:
    """Rows of a hub dataset, which is kept in the hub's cache, or of a local folder; no code of the dataset is run."""
    folder = dataset if Path(dataset).is_dir() else str(fetch(HubItem("dataset", dataset, revision)))
    from datasets import load_dataset

    try:
        yield from load_dataset(folder, config, split=split, streaming=True)
    except Exception as error:  # file formats and splits have no common error
        raise ValueError(
            f"{dataset}에서 config={config!r}, split={split!r}을 읽을 수 없습니다. 폴더의 파일이나 데이터 "
            f"페이지에서 이름을 확인해 주세요. ({type(error).__name__}: {str(error)[:300]})"
        ) from error
