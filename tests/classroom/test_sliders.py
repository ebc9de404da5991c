"""A slider's picture is drawn again with the chosen value; without widgets a line says so and nothing breaks."""

from __future__ import annotations

import sys

from src.classroom.sliders import sliders


def test_draws_with_the_first_values_and_again_after_a_move(monkeypatch, capsys):
    import ipywidgets

    made, drawn = [], []
    interact = ipywidgets.interact
    monkeypatch.setattr(ipywidgets, "interact", lambda *a, **k: made.append(interact(*a, **k)))
    sliders(lambda r, kind: drawn.append((r, kind)), r=[1, 4, 16], kind=["nf4", "fp4"])
    assert drawn == [(1, "nf4")]
    made[0].widget.children[0].value = 16
    assert drawn[-1] == (16, "nf4")
    assert "슬라이더(r, kind)" in capsys.readouterr().out


def test_without_widgets_the_page_still_reads(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    sliders(print, r=[1])
    assert "ipywidgets" in capsys.readouterr().out
