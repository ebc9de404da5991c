"""The first lines of every notebook: what runs here, and a way to show the source of what it calls."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from src.classroom.text_tables import TEXT, numeric, read_from_the_left
from src.profiles import Profile


def hello(profile: Profile) -> None:
    """Print one line: profile, model, device and the versions that matter. Tables read from the left from here on."""
    import torch

    from src.qlora.registry import model_spec

    read_from_the_left()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "bitsandbytes")
    )
    print(f"프로파일 {profile.name} · 모델 {model_spec(profile).source} · 장치 {device} · {versions}")


def show_source(function: Any) -> Any:
    """The source of ``function`` as a highlighted block."""
    from IPython.display import Code

    return Code(inspect.getsource(function), language="python")


def show_table(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> Any:
    """``rows`` as a table: text to the left, numbers to the right and with thousands separators."""
    import pandas as pd

    shown = [[f"{v:,}" if type(v) in (int, float) else str(v) for v in row] for row in rows]
    style = pd.DataFrame(shown, columns=list(columns)).style.format(escape="html").hide(axis="index")
    right = [f".col{place}" for place, column in enumerate(zip(*shown, strict=True)) if numeric(column)]
    styles = [{"selector": "th, td", "props": TEXT}]
    if right:
        styles.append({"selector": ", ".join(right), "props": "text-align: right"})
    return style.set_table_styles(styles)
