"""What README and docs state is what the code has."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import nbformat
import pytest
from packaging.specifiers import SpecifierSet

from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.hub.cache import GB
from src.profiles import PROFILES, ROOT
from src.qlora.registry import MODELS, model_shape

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "data").rglob("*.md"))]


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    used = {
        name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert {"workshop", "test", "lab"} <= used & targets
    assert used <= targets | {"and"}  # "Python ≥ 3.11 and make …" is prose


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_readme_lists_every_notebook():
    listed = re.findall(r"^\| `((?:prerequisites|main-practice)/[^`]+)`", README, flags=re.MULTILINE)
    shipped = [*NOTEBOOKS, *ELECTIVES]
    assert listed == [path.relative_to(ROOT).with_suffix("").as_posix() for path in shipped]
    assert "노트북 일곱 개" in README and len(NOTEBOOKS) == 7


def test_readme_numbers():
    python = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "requires-python"
    ]
    assert f"Python {python.removeprefix('>=')} 이상" in README
    millions = model_shape(MODELS["tiny"]).parameters / 1e6
    assert f"약 {round(millions)}백만 파라미터" in README
    download = MODELS[PROFILES["rtx4090"].model].item.size / GB
    assert f"모델 약 {round(download)}GB를 내려받습니다" in README


def test_readme_names_every_licence():
    for spec in MODELS.values():
        licence = spec.licence.replace(" Agreement", "").replace(" - ", "-")
        assert licence in README, spec.key


def rooms() -> list[str]:
    """The rooms of src as README's tree lists them, in its order."""
    tree = re.search(r"^src/\n((?:[├└].*\n)+)", README, flags=re.MULTILINE)[1]
    return [line.split()[1].removesuffix("/").removesuffix(".py") for line in tree.splitlines()]


def test_readme_shows_every_room():
    there = {path.stem for path in (ROOT / "src").iterdir() if path.name[0] not in "_."}
    assert sorted(rooms()) == sorted(there)


def imported(path: Path) -> set[str]:
    """Modules of src that a file imports, at its top or within a function, with the names taken from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "src"}


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_rooms_above_it(room):
    allowed = {*rooms()[: rooms().index(room)], room}
    place = ROOT / "src" / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        for name in imported(path):
            assert name.split(".")[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"


def test_no_module_imports_itself_by_a_detour():
    """Where two modules of a room import each other, which comes first depends on who is asked."""
    modules = {path: imported(path) for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py"}
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules}
    needs = {
        names[path]: {
            other for other in names.values() if any((n + ".").startswith(other + ".") for n in found)
        }
        for path, found in modules.items()
    }
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, its docstring not counted."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_modules_and_functions_stay_small():
    large = {}
    for path in (ROOT / "src").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if (lines := len(source.splitlines())) > 250:
            large[path.relative_to(ROOT).as_posix()] = lines
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and function_lines(node) > 60:
                large[f"{path.relative_to(ROOT)}: {node.name}"] = function_lines(node)
    assert large == {}


@pytest.mark.parametrize("path", [*NOTEBOOKS, *ELECTIVES], ids=lambda path: path.stem)
def test_notebooks_import_from_rooms(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell.source))]
    lines = [n for n in nodes if isinstance(n, ast.ImportFrom) and (n.module or "").split(".")[0] == "src"]
    ours = {f"src.{room}" for room in rooms()} | {"src"}
    for node in lines:
        assert node.module in ours or node.module.startswith("src.classroom."), ast.unparse(node)
    assert len(lines) <= 10, [ast.unparse(node) for node in lines]


def test_every_package_runs_on_the_oldest_python_that_is_promised():
    """Debian's own Python is 3.11.2: a pin that asks for a later patch release cannot be installed there."""
    oldest = re.search(r"Python (3\.\d+) 이상", README)[1] + ".0"
    pinned = re.findall(
        r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    refusing = {
        name: wanted for name in pinned if not SpecifierSet(wanted := _requires_python(name)).contains(oldest)
    }
    assert refusing == {}


def _requires_python(package: str) -> str:
    try:
        return metadata(package).get("Requires-Python") or ""
    except PackageNotFoundError:  # of another platform
        return ""
