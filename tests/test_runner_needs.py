"""The cell magic ``%%needs``: what is left out, why, and that other cells are as ever."""

import re
from pathlib import Path

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from segkit.course.kernel import code_cell, error_of, open_kernel
from segkit.errors import RunError
from segkit.report.render import _without_left_out
from segkit.runner.needs import Needs
from segkit.runner.notebook import LEFT_OUT
from tests.toy_notebooks import write_notebook


class Run:
    """What the magic asks of a run."""

    def __init__(self):
        self.said = []

    def declared_reads(self):
        return {"orders": None, "truth": "Only a simulated source knows it."}

    def leave_out(self, what, why, *, written=()):
        self.said.append((what, why))
        self.written = set(written)


@pytest.fixture
def cells():
    """Return what executes cells in a shell with the magic; it returns what was left out."""
    shell, run = InteractiveShell(), Run()
    Needs(shell, run).register()
    shell.user_ns.update(
        answers=pl.DataFrame({"q1": [1]}), survey=None, table=pl.DataFrame({"a": []}), k=0
    )

    def execute(text):
        run.said.clear()
        done = shell.run_cell(text, store_history=False)
        done.raise_error()
        return run.said[0] if run.said else done.result

    execute.shell, execute.run = shell, run
    return execute


@pytest.mark.parametrize(
    ("line", "what", "why"),
    [
        ("survey", "survey", "There is no survey."),
        ("answers survey", "survey", "There is no survey."),
        ("answers.nps: Nobody was asked.", "nps", "Nobody was asked."),
        ("table", "table", "There is no table."),
        ("k", "k", "There is no k."),
        ("answers.height.none", "none", "There is no none."),
        ("truth", "truth", "Only a simulated source knows it."),
        ("truth: Something else.", "truth", "Only a simulated source knows it."),
    ],
)
def test_a_cell_whose_input_is_absent_is_left_out(cells, line, what, why):
    assert cells(f"%%needs {line}\nmade = 1 / 0") == (what, why)
    assert "made" not in cells.shell.user_ns


@pytest.mark.parametrize("line", ["answers", "answers.q1 orders", "orders", "enough-data answers"])
def test_a_cell_whose_input_is_there_is_executed_and_shows_its_last_expression(cells, line):
    assert cells(f"%%needs {line}\nmade = 2\nmade + 1") == 3 or "enough-data" in line
    assert cells.shell.user_ns["made"] == 2
    assert cells.shell.user_ns["_"] == 3 or "enough-data" not in line


def test_what_a_cell_would_have_made_is_absent_too_for_the_same_reason(cells):
    cells('%%needs survey: Nobody was asked.\nmodel = 1\nrun.write("attitudes", model)')
    assert "attitudes" in cells.run.written
    assert cells("%%needs model\nscores = model") == ("", "Nobody was asked.")
    assert cells("%%needs scores\n1") == ("", "Nobody was asked.")
    assert cells("%%needs survey\n1") == ("survey", "Nobody was asked.")
    cells.shell.user_ns["survey"] = 1
    cells("%%needs survey\nmodel = 5")
    assert cells("%%needs model\nmodel") == 5


def test_a_cell_that_is_executed_again_without_its_input_leaves_nothing_stale(cells):
    cells("%%needs answers\nmodel, k = 1, 3")
    cells.shell.user_ns["answers"] = None
    cells("%%needs answers\nmodel, k = 2, 4")
    assert "model" not in cells.shell.user_ns
    assert cells.shell.user_ns["k"] == 3, "it was there before any cell with needs"


def test_a_variable_that_one_of_two_cells_makes_stays(cells):
    cells("%%needs answers\nknown = 1")
    assert cells("%%needs survey\nknown = 2") == ("survey", "There is no survey.")
    assert cells("%%needs known\nknown") == 1


def test_data_that_the_analysis_refuses_leave_the_cell_out(cells):
    refused = (
        '%%needs enough-data\nimport segkit\ndrivers = 1\nraise segkit.errors.DataError("Few")'
    )
    assert cells(refused) == ("drivers", "Few.")
    for wrong in ("ColumnError", "ParameterError"):
        with pytest.raises(ValueError, match="Few"):
            cells(refused.replace("DataError", wrong))
    with pytest.raises(ValueError, match="Few"):
        cells(refused.replace("enough-data", "answers"))


def test_the_lines_that_the_guide_shows_do_what_it_says(cells):
    guide = Path(__file__).parents[1] / "docs" / "how-to" / "own-notebook.md"
    lines = re.findall(r"^%%needs .*$", guide.read_text(encoding="utf-8"), re.M)
    assert len(lines) > 3
    known = cells.shell.user_ns
    known |= {"segments": cells.shell.user_ns["answers"], "pilot": None}
    for line in lines:
        what, why = cells(f"{line}\n1")
        assert why == (line.partition(": ")[2] or f"There is no {what}.")
    known |= {"survey": pl.DataFrame({"nps": [9]}), "pilot": {"arms": 2}}
    assert all(cells(f"{line}\n1") in (1, None) for line in lines)
    assert cells("%%needs pilot.arms\n2") == 2
    assert cells("%%needs pilot.why: It has {pilot[arms]} arms.\n2") == ("why", "It has 2 arms.")


def test_an_unknown_name_and_an_empty_line_are_refused(cells):
    with pytest.raises(RunError, match="'answer'; did you mean 'answers'"):
        cells("%%needs answer\n1")
    with pytest.raises(RunError, match="expects the names"):
        cells("%%needs\n1")


@pytest.mark.parametrize("line", ["%%needs answers", "%%needs enough-data"])
def test_a_traceback_points_to_the_line_of_the_cell(cells, line, capsys):
    with pytest.raises(ZeroDivisionError):
        cells(f"{line}\nmade = 2\n\nmade / 0\n")
    assert "----> 4 made / 0" in _plain(capsys.readouterr().out)


def test_a_report_drops_cells_that_are_left_out_and_sections_of_nothing_else():
    gone = new_output("display_data", {"text/html": f'<p class="{LEFT_OUT}">No survey.</p>'})
    shown = new_output("display_data", {"text/html": "<p>Found.</p>"})
    cells = [
        new_markdown_cell("# Why?"),
        *(new_markdown_cell("## Would they?"), new_code_cell("1", outputs=[gone])),
        *(new_markdown_cell("It says."), new_code_cell("2", outputs=[gone])),
        *(new_markdown_cell("## Do they?"), new_code_cell("3", outputs=[gone])),
        *(new_code_cell("4", outputs=[shown]), new_markdown_cell("## Only words")),
        # What only prepares what was left out shows nothing either; a finding in bold does.
        *(new_markdown_cell(f"## When?\n\n{'A word ' * 9}"), new_code_cell("5")),
        *(new_code_cell("6", outputs=[gone]), new_markdown_cell("## Findings")),
        *(new_code_cell("7"), new_code_cell("8", outputs=[gone]), new_markdown_cell("**So:** no.")),
    ]
    kept = [cell.source for cell in _without_left_out(cells)]
    assert kept == [
        *("# Why?", "## Do they?", "4", "## Only words", "## Findings", "7", "**So:** no.")
    ]


@pytest.mark.slow
def test_the_magic_in_a_kernel(tmp_path):
    """An opened notebook, as JupyterLab and VS Code execute it: first cell, then the others."""
    stem = write_notebook(tmp_path / "notebooks", "01_toy").stem
    with open_kernel() as kernel:
        kernel.forget(tmp_path)
        opening = f"run = segkit.runner.open_notebook({stem!r}, source='toy', name='toy')"
        texts = (
            f"import segkit.runner\n{opening}\nx = None",
            "%%needs x: No x.\n1 / 0",
            "%%needs run\n6 * 7",
            "%%needs run\ny = 1\n1 / 0",
        )
        done = kernel.run([code_cell(text) for text in texts], stop=False)
    assert not error_of(done[0])
    left_out, shown, failed = done[1:]
    assert left_out["outputs"][0]["data"]["text/plain"] == "Left out: No x."
    assert shown["outputs"][0]["data"]["text/plain"] == "42"
    assert error_of(failed) == "ZeroDivisionError: division by zero"
    assert any("----> 3 1 / 0" in _plain(line) for line in failed["outputs"][0]["traceback"])


def _plain(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)
