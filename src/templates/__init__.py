"""HTML pages from Jinja2 templates, everything escaped: what a file or a model wrote is shown and never run.

In: a template of this folder and values. Out: one page that fetches nothing.
"""

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["png"] = png
    return environment


def png(figure: Any, **options: Any) -> str:
    """A matplotlib figure as the ``src`` of an image; the same figure gives the same text."""
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None}, **options)
    return f"data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}"


def write_page(path: str | Path, template: str, **values: Any) -> Path:
    """``template`` (``"comparison.html.j2"``) with ``values`` into ``path``, whose folder is created; only
    ``markupsafe.Markup`` goes in as it is. A lone surrogate has no UTF-8 and becomes "?": a page must not fail on a cut
    emoji."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _environment().get_template(template).render(**values)
    path.write_text(page, encoding="utf-8", errors="replace")
    return path
