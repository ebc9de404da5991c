"""Sliders over a picture, where widgets work; a notebook draws still pictures with the same function beside them."""

from collections.abc import Callable, Sequence
from typing import Any


def sliders(draw: Callable[..., Any], **choices: Sequence[Any]) -> None:
    """Call ``draw`` with one value of each of ``choices`` by name, again whenever a slider is let go.

    A saved page has no kernel to ask, so a printed line says what could be moved and where to look instead.
    """
    names = ", ".join(choices)
    try:
        from ipywidgets import SelectionSlider, interact
    except ImportError:
        print(f"슬라이더({names})에는 ipywidgets 패키지가 필요해요. 지금은 아래 그림을 보세요.")
        return
    told = "JupyterLab에서 이 셀을 실행하면 움직여요. 저장된 페이지에서는 아래 그림을 보세요."
    print(f"슬라이더({names})는 {told}")
    moved = {
        name: SelectionSlider(options=list(values), description=name, continuous_update=False)
        for name, values in choices.items()
    }
    interact(draw, **moved)
