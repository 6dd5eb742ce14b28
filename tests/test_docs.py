"""The documentation: every page is reached, every link and file that it names is there."""

import json
import re
import shlex
import sys
from pathlib import Path

import polars as pl
import pytest
import typer

import segkit
from segkit.cli import app
from segkit.errors import ParameterError
from segkit.lift import Kpi
from segkit.runner.catalog import load_notebook

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
house = pytest.importorskip("house", reason="needs the extra docs")
studies = pytest.importorskip("studies", reason="needs the extra docs")
USAGE_ERROR = typer.BadParameter.__mro__[1]  # typer's own copy of click has no public name for it
PAGES = [
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "reports/README.md")),
]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_to_a_file(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" not in link, f"{page.name} leads out of the project: {link}"
        made = link.startswith("api/")  # by docs/_ext/house.py, when the site is built
        assert made or (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_file_of_the_project_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:data|docs|segkit|tests|notebooks|tools)/[\w./-]*\w)/?`", text):
        made = "_build" in name or "NAME" in name
        assert made or (ROOT / name).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_name_of_segkit_on_a_page_leads_somewhere(page):
    text = re.sub(r"```(?:sh|text)\n.*?```", "", page.read_text("utf-8"), flags=re.S)
    for name in set(re.findall(r"(?<![\w/.-])segkit(?:\.[A-Za-z_]\w*)+(?![\w/])", text)):
        assert house.leads(name), f"{page.name}: {name}"


def test_every_path_into_segkit_that_a_docstring_names_leads_somewhere():
    lost = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "segkit").rglob("*.py"))
        for name in re.findall(r"`(segkit(?:\.\w+)+)`", path.read_text("utf-8"))
        if not house.leads(name)
    ]
    assert lost == []


def test_every_name_that_is_said_to_stand_in_a_file_does():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)` in\s+`([\w/]+\.py)`", text)
    assert len(named) > 5
    for name, path in named:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), f"{path}: {name}"


def test_what_may_be_added_without_changing_segkit_can_be():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, "CONTRIBUTING.md", "exec"), names)  # noqa: S102
    days = [
        (f"c{i}", f"o{i}-{j}", 20_000 + i + j, 9.0) for i in range(30) for j in range(1 + i % 5)
    ]
    columns = ["customer_id", "order_id", "order_day", "amount"]
    orders = pl.DataFrame(days, schema=columns, orient="row")
    scored = segkit.score_rfm(orders, segments=names["rules"])
    assert set(scored.frame["segment"].unique()) == {"Best", "Rest"}
    gifts = Kpi("gifts", "gift rate", "share", "gift", definition="bought a gift")
    arms = pl.DataFrame({"arm": ["mail", "control"] * 200, "gift": [1, 0, 0, 0] * 100})
    lift = segkit.measure_lift(arms, control="control", metrics=[gifts])
    assert lift.row()["difference"] == pytest.approx(0.5)


def test_the_notebook_that_is_described_is_one_for_the_runner(tmp_path):
    text = (ROOT / "docs" / "how-to" / "own-notebook.md").read_text(encoding="utf-8")
    (meta,) = re.findall(r"```json\n(.*?)```", text, re.S)
    cells = [
        {"cell_type": "code", "metadata": {}, "source": code}
        for code in re.findall(r"```python\n(.*?)```", text, re.S)
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    (stem,) = set(re.findall(r'open_notebook\("(\w+)"', text))
    assert f"`{stem}.ipynb`" in text
    path = tmp_path / f"{stem}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": json.loads(f"{{{meta}}}")}), "utf-8")
    notebook = load_notebook(path)
    assert notebook.parameters["minimum"].check(0.2) == 0.2
    with pytest.raises(ParameterError, match="minimum"):
        notebook.parameters["minimum"].check(2.0)
    for name in notebook.reads + notebook.writes:
        assert re.search(rf'run\.(read|write)\("{name}"', text)


def shown_commands():
    """Yield each command of the pages: page, program, words, and whether a sentence names it."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"```(?:sh|text)\n(.*?)```", text, re.S):
            for line in re.findall(r"(?:^|bin/|&& )(segkit|make) ([^#>|&\n]*)", block, re.M):
                yield page.name, *line, False
        for line in re.findall(r"`(segkit|make) ([^`]+)`", text):
            yield page.name, *line, True


def check_command(page, words, in_sentence):
    command, rest = typer.main.get_command(app), shlex.split(words)
    while hasattr(command, "commands") and rest != ["--help"]:
        assert rest[0] in command.commands, f"{page}: segkit {words}"
        command, rest = command.commands[rest[0]], rest[1:]
    if rest in (["--help"], ["..."]):
        return
    if in_sentence and all(word.startswith("-") for word in rest):
        options = {name for option in command.params for name in option.opts}
        assert set(rest) <= options, f"{page}: segkit {words}"
        return
    try:
        command.make_context("segkit", rest)
    except USAGE_ERROR as error:
        pytest.fail(f"{page}: segkit {words}: {error.message}")


def test_every_command_that_a_page_shows_is_one():
    """Each `segkit ...` and `make ...`, in a shell block or a sentence, is a command, options too.

    A sentence may name a command, or a command's option, without what goes with it.
    """
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    shown = set(shown_commands())
    assert len(shown) > 40
    for page, program, words, in_sentence in shown:
        if program == "make":
            assert words.split()[0] in targets, f"{page}: make {words}"
        else:
            check_command(page, words, in_sentence)


def test_every_study_is_shown_among_the_methods():
    shown = (ROOT / "docs" / "methods.md").read_text("utf-8")
    tables = {path.stem for path in (ROOT / "tests" / "studies" / "results").glob("*.csv")}
    assert tables == set(re.findall(r"^```\{study\} (\w+)", shown, re.M))


def test_every_package_stands_in_the_reference_once():
    packages = house.read_packages()
    tree = {path.stem for path in (ROOT / "segkit").glob("[!_]*.py")}
    tree |= {path.parent.name for path in (ROOT / "segkit").glob("*/__init__.py")}
    assert {package.name for package in packages} == tree
    names = [name for package in packages for name in package.names]
    assert len(names) == len(set(names)) > 100
    targets = {name.rpartition(".")[2] for name in names}
    assert set(segkit.__all__) - {"__version__"} <= targets


def test_the_drawing_shows_every_package():
    svg = house.draw(house.read_packages())
    assert all(f">{package.name}</text>" in svg for package in house.read_packages())


def table_under(text, header):
    """Return the cells of the Markdown table with this header, row by row."""
    rows = text.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_floors_in_the_text_is_the_one_that_is_tested():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    header = "| floor | packages and modules of `segkit` | handed upward |"
    told = {
        floor: (sorted(re.findall(r"`(\w+)`", names)), handed)
        for floor, names, handed in table_under(page, header)
    }
    assert told == {
        f"{floor} {name}": (sorted(house.FLOORS[floor]), house.HANDED[name])
        for floor, name in enumerate(house.FLOOR_NAMES)
    }


def test_every_module_of_the_intake_stands_in_one_stage():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stages = table_under(page, "| stage | what it does | modules of `segkit/intake` |")
    assert [row[0] for row in stages] == ["readers", "proposal", "questions", "cleaning", "store"]
    named = [name for row in stages for name in re.findall(r"`(\w+)`", row[2])]
    modules = {path.stem for path in (ROOT / "segkit" / "intake").glob("[!_]*.py")}
    assert sorted(named) == sorted(modules)


def test_a_number_of_a_study_is_read_from_its_table():
    table = studies.read_study("lift_coverage")[0].filter(interval="log")
    text = studies.write_number("lift_coverage", "least coverage%", "\"interval\" = 'log'")
    assert text == f"{100 * table['coverage'].min():.1f}%"
    with pytest.raises(studies.StudyError, match="no study"):
        studies.read_study("none such")
    with pytest.raises(studies.StudyError, match="meet"):
        studies.write_number("lift_coverage", "coverage%", "\"interval\" = 'log'")
    with pytest.raises(studies.StudyError, match="no column"):
        studies.write_table(table, "coverage of all = all_of_it%")


def test_continuous_integration_builds_the_pages():
    assert "\nmake docs\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndocs:")[1].split("\n\n")[0]
    assert "-W" in recipe
