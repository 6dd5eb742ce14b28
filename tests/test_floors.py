"""The house's floors: imports run downward, analyses never meet, libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "segkit"
FLOORS = {
    0: [
        *(
            "errors",
            "display",
            "frames",
            "ids",
            "lazy",
            "progress",
            "result",
            "spreadsheets",
            "stored",
            "webhook",
            "writing",
        ),
    ],
    1: ["schema", "rules", "transform", "stats", "plot"],
    2: ["intake"],
    3: ["simulate", "datasets"],
    4: ["features"],
    5: ["rfm", "cohorts", "cluster", "factor", "regression", "lift", "predict"],
    6: ["profile", "campaign", "large", "live", "monitor", "pipeline", "scoring", "spark"],
    7: ["cli", "runner", "report", "explorer", "course", "star", "start", "__main__"],
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
ONLY_IN = {"narwhals": {"features"}}
HOW = "docs/architecture.md; CONTRIBUTING.md, How to add an analysis"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def run_time(node):
    """Yield a tree's nodes but those that only a type checker reads."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from run_time(child)


def imports(path):
    for node in run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path):
    here = room(path)
    assert here in FLOOR, f"{here} stands on no floor: give it one here ({HOW})"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in ONLY_IN:
            assert here in ONLY_IN[parts[0]], f"{here} imports {parts[0]}"
        if parts[0] != "segkit" or len(parts) < 2 or parts[1] == here:
            continue
        there = parts[1]
        if there not in FLOOR:
            continue  # a name of segkit/__init__.py, such as __version__
        assert FLOOR[there] <= FLOOR[here], f"{here} imports upward: {there} ({HOW})"
        if FLOOR[here] == 5:
            assert FLOOR[there] != 5, f"analyses never meet: {here} imports {there} ({HOW})"


def test_the_runner_is_handed_its_reports_and_imports_none():
    for path in (PACKAGE / "runner").glob("*.py"):
        taken = [name for name in imports(path) if name.startswith("segkit.report")]
        assert not taken, f"{path.name} imports {taken}: a run is given what writes its reports"


def test_every_room_named_here_exists():
    rooms = {room(path) for path in FILES}
    assert rooms == set(FLOOR), f"without a file: {set(FLOOR) - rooms}"
