"""The first lines of every notebook: what runs here, and a way to show the source of what it calls."""

import inspect
from importlib.metadata import version
from typing import Any

from src.classroom.text_tables import read_from_the_left, show_table
from src.profiles import Profile

__all__ = ["hello", "show_source", "show_table"]


def hello(profile: Profile) -> None:
    """Print one line: profile, model, device and the versions that matter. Tables read from the left from here on."""
    import torch

    from src.qlora.registry import model_spec

    read_from_the_left()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    packages = ("torch", "transformers", "peft", "bitsandbytes")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"프로파일 {profile.name} · 모델 {model_spec(profile).source} · 장치 {device} · {versions}")


def show_source(function: Any) -> Any:
    """The source of ``function`` as a highlighted block."""
    from IPython.display import Code

    return Code(inspect.getsource(function), language="python")
