"""The documentation: every page is reached, every link and file that it names is there."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import segkit
from segkit.cli import app

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
house = pytest.importorskip("house", reason="needs the extra docs")
studies = pytest.importorskip("studies", reason="needs the extra docs")
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
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_command_that_a_page_shows_is_one():
    """Each `segkit ...` and `make ...` in a shell block names a command, options and all."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    seen = set()
    for page in PAGES:
        for block in re.findall(r"```(?:sh|text)\n(.*?)```", page.read_text("utf-8"), re.S):
            for line in re.findall(r"(?:^|bin/|&& )(segkit|make) ([^#>|&\n]*)", block, re.M):
                seen.add((page.name, *line))
    assert len(seen) > 15
    for page, program, words in seen:
        if program == "make":
            assert words.split()[0] in targets, f"{page}: make {words}"
            continue
        command, *rest = [word for word in words.split() if word]
        path = [command, rest[0]] if command == "course" else [command]
        shown = CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0, f"{page}: segkit {words}"
        for option in (word for word in rest if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown.output), f"{page}: {words}"


def test_every_study_is_shown_among_the_methods():
    shown = (ROOT / "docs" / "methods.md").read_text("utf-8")
    tables = {path.stem for path in (ROOT / "tests" / "studies" / "results").glob("*.csv")}
    assert tables == set(re.findall(r"^```\{study\} (\w+)", shown, re.M))


def test_every_package_stands_in_the_reference_once():
    packages = house.read_packages()
    folder = ROOT / "segkit"
    tree = {path.stem for path in folder.glob("[!_]*") if path.suffix == ".py" or path.is_dir()}
    assert {package.name for package in packages} == {name for name in tree if name != "py"}
    names = [name for package in packages for name in package.names]
    assert len(names) == len(set(names)) > 100
    targets = {name.rpartition(".")[2] for name in names}
    assert set(segkit.__all__) - {"__version__"} <= targets


def test_the_drawing_shows_every_package():
    svg = house.draw(house.read_packages())
    assert all(f">{package.name}</text>" in svg for package in house.read_packages())


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
