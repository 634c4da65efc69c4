"""What STYLE.md asks of the source as a whole: sizes, names, light imports, docstrings, ASCII."""

import ast
import functools
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lorascope

SOURCE = Path(lorascope.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
LARGE_FILES: dict[str, str] = {}
"""Files above the cap, as in "lm/load.py": the reason why splitting it would make it harder to read."""
LONG_FUNCTIONS: dict[str, str] = {}
"""Functions above the cap, as in "train/stage.py:train_run": the reason."""
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler", "misc"}
PUBLIC = ["Run", "check", "compare", "diagnose", "eval", "export", "prepare", "report", "run", "train"]


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: explaining more never makes it too long."""
    docstring = 0
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        docstring = int(first.end_lineno or 0) - first.lineno + 1
    return int(node.end_lineno or 0) - node.lineno + 1 - docstring


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {
        name: lengths.get(name) for name in LARGE_FILES
    }


def test_no_function_is_longer_than_the_cap() -> None:
    long = {
        f"{name_of(path)}:{node.name}"
        for path in MODULES
        for node in functions(path)
        if num_lines(node) > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_every_exception_to_the_caps_has_its_reason() -> None:
    assert all(len(reason) > 20 for reason in [*LARGE_FILES.values(), *LONG_FUNCTIONS.values()])


def test_the_source_is_ascii() -> None:
    texts = [path for path in SOURCE.rglob("*") if path.suffix in (".py", ".css", ".js", ".html")]
    assert len(texts) > 50
    assert [name_of(path) for path in texts if not path.read_bytes().isascii()] == []


def test_no_module_is_a_drawer() -> None:
    named = {name_of(path) for path in SOURCE.rglob("*") if path.suffix == ".py" and path.stem in NO_NAMES}
    packages = {name_of(path.parent) for path in SOURCE.rglob("__init__.py") if path.parent.name in NO_NAMES}
    assert named | packages == set()


def without_docstring(path: Path) -> Iterator[str]:
    tree = parsed(path)
    if ast.get_docstring(tree) is None:
        yield name_of(path)
    for node in tree.body:
        if not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield f"{name_of(path)}:{node.name}"
        for inner in node.body if isinstance(node, ast.ClassDef) else ():
            is_public = isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_")
            if isinstance(inner, ast.FunctionDef) and is_public and ast.get_docstring(inner) is None:
                yield f"{name_of(path)}:{node.name}.{inner.name}"


def test_every_module_and_public_function_and_class_has_a_docstring() -> None:
    assert [name for path in MODULES for name in without_docstring(path)] == []


def test_no_docstring_is_a_placeholder() -> None:
    texts = [
        (name_of(path), ast.get_docstring(node) or "")
        for path in MODULES
        for node in [parsed(path), *functions(path)]
    ]
    assert [name for name, text in texts if text.strip().rstrip(".").upper() in ("TODO", "X", "FIXME")] == []


def test_open_work_names_its_issue() -> None:
    import re

    assert [
        name_of(path)
        for path in MODULES
        if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#[0-9]+\))", path.read_text(encoding="utf-8"))
    ] == []


def test_only_the_command_line_prints() -> None:
    printing = {
        name_of(path)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {name for name in printing if not name.startswith(("cli/", "starter/"))} == set()


HEAVY = (
    "torch",
    "numpy",
    "pydantic",
    "transformers",
    "peft",
    "datasets",
    "pyarrow",
    "scipy",
    "yaml",
    "rich.console",
)


def loaded_by(statement: str) -> list[str]:
    code = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "module", ["lorascope", "lorascope.cli.app", "lorascope.errors", "lorascope.run.commit"]
)
def test_what_the_command_line_starts_with_is_light(module: str) -> None:
    assert loaded_by(f"import {module}") == []


@pytest.mark.parametrize("package", ["metrics", "run", "pages", "report", "diagnose"])
def test_what_installs_light_loads_no_torch(package: str) -> None:
    if not (SOURCE / package / "__init__.py").exists():
        pytest.skip(f"there is no {package} yet")
    modules = [path.stem for path in (SOURCE / package).glob("*.py") if path.stem != "__init__"]
    imports = "\n".join(f"from lorascope.{package} import {module}" for module in modules)
    assert set(loaded_by(imports)) & {"torch", "transformers", "peft", "datasets"} == set()


def test_help_answers_at_once() -> None:
    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "lorascope", "--help"], check=True, capture_output=True)
        after = os.times()
        # Of the processor: the wall clock would count what other programs take from it, too.
        used = after.children_user - before.children_user + after.children_system - before.children_system
        return used

    assert any(statistics.median(seconds() for _ in range(5)) < 0.3 for _ in range(3))


def test_help_names_every_command_and_the_pipeline_in_its_order() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lorascope", "--help"], check=True, capture_output=True, text=True
    )
    words = done.stdout.split()
    for command in (
        "prepare",
        "check",
        "train",
        "diagnose",
        "eval",
        "compare",
        "export",
        "report",
        "run",
        "demo",
    ):
        assert command in words
    pipeline = "prepare -> check -> train -> diagnose -> eval -> compare -> export -> report"
    assert pipeline in " ".join(words)


def test_the_public_names_are_these_ten() -> None:
    assert sorted(lorascope.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(lorascope))
    with pytest.raises(AttributeError, match="nothing"):
        lorascope.nothing  # noqa: B018


def test_the_version_is_the_packages_own() -> None:
    from importlib.metadata import version

    assert lorascope.__version__ == version("lorascope")


def test_a_stage_word_has_its_command_package_section_and_test_folder() -> None:
    from lorascope.run.folder import STAGES

    missing = [
        (stage, kind)
        for stage in STAGES
        for kind, path in {
            "command": SOURCE / "cli" / f"{stage}.py",
            "package": SOURCE / stage / "__init__.py",
            "tests": Path(__file__).parent / stage,
        }.items()
        if not path.exists()
    ]
    assert missing == []


def test_the_import_contracts_name_every_package() -> None:
    import tomllib

    settings = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    here = {path.stem for path in SOURCE.glob("*.py")} | {
        path.parent.name for path in SOURCE.glob("*/__init__.py")
    }
    assert here - {"__init__"} <= named
