"""The notebooks keep the house rules, and a wrong call ends before any kernel."""

import ast
import json
import re
import subprocess
import sys

import pytest

from segkit.runner.catalog import Catalog
from segkit.runner.needs import as_python
from segkit.runner.parameters import parse_parameters
from tests.notebooks.runs import FILES, LOADED, NOTEBOOKS, STEMS, Ran

MOST_LINES = 20
READ = re.compile(r'run\.(?:read|read_path|read_json|read_customers|has)\(\s*"(\w+)"')
WRITE = re.compile(r'run\.(?:write|write_json|save|path|skip)\(\s*"(\w+)"')
PROGRAM = {
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Try, ast.With),
    *(ast.If, ast.IfExp, ast.While, None),
}
SILENCED = re.compile(r"warnings|%%capture|logging\.disable|stderr|devnull")


def content(file):
    return json.loads(file.read_text(encoding="utf-8"))


def sources(file, kind):
    return ["".join(cell["source"]) for cell in content(file)["cells"] if cell["cell_type"] == kind]


def kinds_in(text):
    """Return the kinds of syntax in a cell; ``None`` for an unpacked dictionary."""
    nodes = list(ast.walk(ast.parse(as_python(text))))
    unpacked = {None for node in nodes if isinstance(node, ast.keyword) and node.arg is None}
    return {type(node) for node in nodes} | unpacked


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def test_the_summary_repeats_answers_that_notebooks_give():
    (file,) = [file for file in FILES if file.stem == "12_summary"]
    (cell,) = [text for text in sources(file, "code") if text.startswith("decisive = ")]
    repeated = ast.literal_eval(cell.removeprefix("decisive = "))
    for stem, asked in repeated.items():
        (other,) = [one for one in FILES if one.stem == stem]
        code = "\n".join(sources(other, "code"))
        assert all(f'run.answer("{question}"' in code for question in asked), stem


# What can be seen without a kernel ----------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=STEMS)
def test_a_notebook_is_committed_without_outputs_and_with_unique_cells(file):
    cells = content(file)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert content(file)["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("file", FILES, ids=STEMS)
def test_one_cell_holds_the_parameters_and_every_one_is_explained(file):
    (cell,) = [cell for cell in content(file)["cells"] if is_parameters(cell)]
    found = parse_parameters("".join(cell["source"]), file.stem)
    shared = {"source", "data", "mapping", "out", "name", "as_of", "seed", "customers"}
    assert shared <= found.keys()
    assert all(parameter.help for parameter in found.values() if parameter.name != "source")


@pytest.mark.parametrize("file", FILES, ids=STEMS)
def test_one_heading_asks_the_question_that_the_catalog_lists(file):
    headings = [line for text in sources(file, "markdown") for line in text.splitlines()]
    (first,) = [line for line in headings if line.startswith("# ")]
    assert first == sources(file, "markdown")[0].splitlines()[0]
    assert first.endswith("?")
    assert content(file)["metadata"]["segkit"]["question"] == first.removeprefix("# ")


@pytest.mark.parametrize("file", FILES, ids=STEMS)
def test_cells_are_short_and_hold_no_program(file):
    for cell in content(file)["cells"]:
        text = "".join(cell["source"])
        assert len(text.splitlines()) <= MOST_LINES or is_parameters(cell), text
        if cell["cell_type"] == "code":
            assert not kinds_in(text) & PROGRAM, text
            assert not SILENCED.search(text), text


def test_cells_with_needs_are_linted_too(tmp_path):
    """Ruff takes a cell with a cell magic for something else than Python, and passes it over."""
    for file in FILES:
        notebook = content(file)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["source"] = as_python("".join(cell["source"])).splitlines(keepends=True)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        (tmp_path / file.name).write_text(text + "\n", encoding="utf-8")
    rules = ["--config", str(NOTEBOOKS.parent / "pyproject.toml"), "--no-cache"]
    ignored = "D,E402,E501,I001,B018,ERA,INP"
    for words in (["check", "--ignore", ignored], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *rules, str(tmp_path)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES, ids=STEMS)
def test_no_figure_is_typed_into_a_sentence(file):
    for text in sources(file, "markdown"):
        bare = re.sub(r"`[^`]*`", "", text)
        bare = re.sub(r"\b[Nn]otebooks? \d\d\b", "", bare)
        assert not re.search(r"\d", bare), bare


def test_what_a_notebook_reads_another_writes_and_what_it_uses_it_declares():
    catalog = Catalog.open(NOTEBOOKS)  # refuses names without a writer, two writers, and circles
    assert list(catalog.notebooks) == STEMS
    for file in FILES:
        code = "\n".join(sources(file, "code"))
        declared = catalog.notebooks[file.stem]
        assert set(READ.findall(code)) <= set(declared.reads), file.stem
        assert set(declared.writes) <= set(WRITE.findall(code)), file.stem
        if not re.search(r"run\.(summaries|repeat_answers)\(", code):
            assert set(READ.findall(code)) == set(declared.reads), file.stem


def test_the_page_check_sees_what_it_looks_for():
    for bad in (
        '<img src="https://a.b/c">',
        "<script src=//a.b>",
        '<link href="http://a.b/x.css">',
    ):
        assert LOADED.search(bad)
    for good in ('<a href="https://a.b">', '<img src="data:image/png;', '<a href="../x.html">'):
        assert not LOADED.search(good)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-p", "custmers=600"], 2, "unknown parameter 'custmers'; did you mean 'customers'"),
        (["05", "-p", "repeat=3"], 2, "unknown parameter 'repeat'; did you mean 'repeats'"),
        (["--data", "verkauf.csv"], 3, "'verkauf.csv' is not there"),
        (["--source", "cdnow", "--data", "cdnow.txt"], 3, "'cdnow.txt' is not there"),
    ],
)
def test_wrong_use_ends_before_any_kernel(tmp_path, words, code, message):
    ran = Ran(tmp_path, *words)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert not list(tmp_path.iterdir())
