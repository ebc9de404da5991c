"""What every notebook shows: its first line, what its model and data are, tables whose sentences read from the left
(a notebook's own style puts every cell to the right), the source of what it calls, and labels in colour."""

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from numbers import Number
from pathlib import Path
from typing import Any

from src.data.schemas import RaftRecord
from src.profiles import RAW_FILES, Profile

TEXT = (
    "text-align: left; white-space: normal; max-width: 24em; word-break: keep-all; overflow-wrap: break-word"
)
ROWS_ALONE = "rows_alone"  # in a frame's attrs: all of its rows and texts, and no index


def hello(profile: Profile) -> None:
    """Print one line: profile, model, device and the versions that matter. Tables read from the left from here on."""
    import torch

    from src.qlora.registry import model_spec

    read_from_the_left()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    packages = ("torch", "transformers", "peft", "bitsandbytes")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"프로파일 {profile.name} · 모델 {model_spec(profile).source} · 장치 {device} · {versions}")


def about_model(profile: Profile) -> str:
    """One line: the base model, how large it is and who made it."""
    from src.qlora.registry import model_shape, model_spec

    spec = model_spec(profile)
    count = model_shape(spec).parameters
    size = f"{count / 1e8:,.0f}억" if count >= 1e8 else f"{count / 1e4:,.0f}만"
    made = "이 워크숍이 이 데이터의 말투를 읽도록 처음부터 학습한 모델" if spec.local else "공개된 모델"
    return f"모델: {spec.source}, 파라미터 {size} 개, {made}"


def about_data(records: Sequence[RaftRecord]) -> str:
    """One line: how many of ``records`` were made by rule, and how many come from elsewhere."""
    made = {Path(file).name for file in RAW_FILES}
    origins = Counter(
        "규칙으로 만든 가상의 가전 회사 자료"
        if r.source in made
        else r.source.split(":")[0] or "원본을 적지 않은 것"
        for r in records
    )
    parts = [f"{name} {count:,}개({count / len(records):.0%})" for name, count in origins.most_common()]
    return f"데이터: 레코드 {len(records):,}개 = {' + '.join(parts)}"


def show_source(function: Any) -> Any:
    """The source of ``function`` as a highlighted block."""
    from IPython.display import Code

    return Code(inspect.getsource(function), language="python")


def show_labels(row: dict[str, list[int]], tokenizer: Any) -> Any:
    """A tokenized row in colour: grey is only read, green is learned; a box is a token, or those that make a character."""
    from IPython.display import HTML

    from src.training.labels import label_pieces

    style = {
        False: "background:#eceff1;color:#546e7a",
        True: "background:#a5d6a7;color:#1b5e20;font-weight:bold",
    }
    spans = [
        f'<span style="{style[on]};margin-right:1px;border-radius:2px">{escape(text)}</span>'
        for text, on in label_pieces(row, tokenizer)
    ]
    return HTML(f'<div style="line-height:1.9;overflow-wrap:anywhere">{"".join(spans)}</div>')


def show_table(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> Any:
    """``rows`` as a table without an index: text to the left, numbers to the right, with thousands separators."""
    import pandas as pd

    shown = [[f"{v:,}" if type(v) in (int, float) else str(v) for v in row] for row in rows]
    frame = pd.DataFrame(shown, columns=list(columns))
    frame.attrs[ROWS_ALONE] = True
    return frame


def numeric(values: Iterable[Any]) -> bool:
    """Whether a column holds numbers alone: int, float, or a text without any letter ("+12", "[0.1, 0.3]", "–")."""
    return all(
        (isinstance(value, Number) and not isinstance(value, bool)) or not any(map(str.isalpha, str(value)))
        for value in values
    )


def frame_html(frame: Any) -> str | None:
    """A pandas table as pandas shows it, columns with text to the left and wrapping, numbers to the right. The
    index's name stands in the header's first cell, not in a row of its own. None where pandas shows no HTML."""
    import pandas as pd

    count, shown_columns = frame.shape[1], pd.get_option("display.max_columns")
    if frame.attrs.get(ROWS_ALONE):
        with pd.option_context("display.max_colwidth", None):
            # A formatter of ours: pandas' own writes a line break as two letters.
            page = frame.to_html(index=False, notebook=True, formatters=[str] * count)
        seen, labels = frame, False
    else:
        if frame.index.nlevels == 1 and frame.columns.names == [None]:
            frame = frame.rename_axis(index=None, columns=frame.index.name)
        page = frame._repr_html_()
        if page is None or count > (shown_columns or count):  # some columns are left out
            return page
        seen = frame.head(pd.get_option("display.max_rows"))
        rows = (row if isinstance(row, tuple) else (row,) for row in seen.index)
        labels = not numeric(label for row in rows for label in row)
    text = [count - place for place in range(count) if not numeric(seen.iloc[:, place])]
    # Counted from the right: of an index with several levels a row may leave cells out.
    places = [*map(str, text), *([f"n+{count + 1}"] if labels else [])]
    if not places:
        return page
    name = f"text-{count}-{'-'.join(map(str, text))}{'-labels' * labels}"
    left = ", ".join(f".{name} :is(th, td):nth-last-child({place})" for place in places)
    right = (
        f".{name} :is(th, td) {{text-align: right; word-break: keep-all}} .{name} td {{white-space: nowrap}}"
    )
    return f'<style>{right} {left} {{{TEXT}}}</style><div class="{name}">{page}</div>'


def read_from_the_left() -> None:
    """From now on this kernel shows pandas tables as ``frame_html`` does; nothing outside a notebook."""
    from IPython import get_ipython

    if shell := get_ipython():
        import pandas as pd

        shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, frame_html)
