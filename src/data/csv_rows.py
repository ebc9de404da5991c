"""CSV and TSV read row by row; a row whose quotes are wrong costs that row only."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from src.data.json_rows import Unreadable, repeated_names, repeated_reason

MAX_RECORD = 1 << 24  # characters of one row; a quote that never closes would take in the whole file
csv.field_size_limit(2**31 - 1)  # the default refuses a field of more than 131,072 characters

_QUOTES = "따옴표가 닫히지 않았거나 엉뚱한 곳에서 닫혀 CSV 행으로 읽을 수 없습니다. 따옴표를 확인해 주세요."


class _Lines:
    """Lines of a file for ``csv.reader``; those of the row being read can be given back."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.back: deque[str] = deque()
        self.record: list[str] = []
        self.number = self.size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.size > MAX_RECORD:
            raise csv.Error("a row without end")
        line = self.back.popleft() if self.back else next(self.file)
        self.record.append(line)
        self.number, self.size = self.number + 1, self.size + len(line)
        return line

    def begin(self) -> int:
        """Forget the row before; the line at which the next one begins."""
        self.record, self.size = [], 0
        return self.number + 1

    def give_back(self, kept: int) -> list[str]:
        """Give back the lines of the row but its first ``kept``, which are returned."""
        self.back.extendleft(reversed(self.record[kept:]))
        self.number -= len(self.record[kept:])
        return self.record[:kept]


def iter_csv(file: TextIO, name: str, delimiter: str = ",") -> Iterator[tuple[int, Any]]:
    """(line, row) of a file opened with ``newline=""``; its first line names the columns.

    A row that cannot be read costs its first line only: what follows is read anew, so a quote that never closes
    does not take the rest of the file with it.

    Raises:
        ValueError: there is no line of names, or it cannot be read.
    """
    lines = _Lines(file)
    if "\t" in (first := next(lines, "")) and "," not in first:  # Excel's "Unicode text" under the name .csv
        delimiter = "\t"
    lines.give_back(0)
    # strict: a quote that does not close, or closes too early, is an error and not a guess.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        line = lines.begin()
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            if not header:  # the next line must not become the names
                raise ValueError(f"{name}: 첫 줄의 칸 이름을 읽을 수 없습니다. {_QUOTES}") from error
            yield line, Unreadable(_QUOTES, lines.give_back(1)[0].rstrip("\r\n"))
            continue
        if values and header:
            yield line, named_row(header, values)
        elif values:
            header = values
    if not header:
        raise ValueError(f"{name}: 파일이 비어 있습니다. 첫 줄에 칸 이름을 적어 주세요.")


def named_row(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any] | Unreadable:
    """The values by their names, unless they are too many or too few, or a name has two values."""
    if len(values) != len(names):
        reason = f"칸이 {len(names)}개여야 하는데 {len(values)}개입니다. 따옴표와 쉼표를 확인해 주세요."
        return Unreadable(reason, list(values))
    pairs = list(zip(names, values, strict=True))
    if repeated := repeated_names(pairs):
        return Unreadable(repeated_reason(repeated[0]), [list(pair) for pair in pairs])
    return dict(pairs)
