import shlex
import shutil
import sys

import pytest

import segkit
from segkit import cli
from segkit.errors import ParameterError, SegkitError
from segkit.runner import execute, workspace
from segkit.runner import run as run_module
from segkit.runner.catalog import Catalog
from segkit.runner.manifest import PATHS
from tests.toy_notebooks import write_chain, write_notebook

slow = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_chain(tmp_path / "notebooks")
    (tmp_path / "bad.bin").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shipped(tmp_path_factory, monkeypatch):
    """Stand toy notebooks in for those that come with segkit."""
    place = write_chain(tmp_path_factory.mktemp("shipped"))
    monkeypatch.setattr(workspace, "shipped_notebooks", lambda: place)
    return place


def test_params_lists_the_mapping_files_options(folder, capsys):
    assert cli.invoke(["params"]) == 0
    assert "segkit params mapping" in capsys.readouterr().out
    assert cli.invoke(["params", "mapping"]) == 0
    told = capsys.readouterr().out
    assert "duplicates = 'flag'  exact repeats: counted or removed; one of flag, drop" in told
    assert all(f"  {name} = " in told for name in ("timezone", "return_prefix", "total_words"))


def test_params_lists_shared_ones_once_and_own_ones_apart(folder, capsys):
    assert cli.invoke(["params"]) == 0
    told = capsys.readouterr().out
    assert told.count("seed: int = 0") == 1
    assert "  cut: float = 9.5  money, where high begins" in told
    assert cli.invoke(["params", "02"]) == 0
    told = capsys.readouterr().out
    assert "cut: float" in told
    assert "seed: int" in told
    assert "01_orders" not in told


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "-p", "sede=1"], 2, "did you mean 'seed'"),
        (["run", "-p", "seed=yes"], 2, "parameter 'seed' expects int, got 'yes'"),
        (["run", "-p", "seed"], 2, "expected key=value, got 'seed'"),
        (["run", "--name", "a", "-p", "name=b"], 2, "given by --name and by -p"),
        (["run", "07"], 2, "unknown notebook '07'"),
        (["run", "--data", "absent.csv"], 3, "'absent.csv' is not there"),
        (["run", "--mapping", "absent.toml"], 3, "'absent.toml' is not there"),
        (["check", "absent.csv"], 3, "there is no file absent.csv"),
        (["params", "nothing"], 2, "unknown notebook 'nothing'"),
        (["index", "nowhere"], 3, "there is no folder nowhere"),
        (["new", "notebooks"], 2, "holds something already"),
        (["run", "--data", "notebooks", "--mapping", "bad.bin"], 3, "not a valid TOML file"),
        (["run", "--data", "notebooks", "--mapping", "notebooks"], 3, "expected a mapping file"),
        (["run", "--out", "bad.bin"], 1, "cannot write to "),
        (["check", "bad.bin"], 3, "bad.bin: expected a file ending in"),
        (["check", "notebooks"], 3, "expected files named after tables"),
        (["score", "bad.bin", "a.csv"], 1, "bad.bin is not JSON"),
        (["score", "bad.bin", "a.csv", "--out", "a.xlsx"], 2, "ends in .csv or .parquet"),
        (["score", "bad.bin", "a.csv", "--out", "no/a.csv"], 2, "there is no folder no"),
        (["score", "bad.bin", "a.csv", "--as-of", "1.1.2024"], 2, "expects an ISO date"),
        (["new", "bad.bin/x"], 1, "cannot write bad.bin/x: Not a directory"),
        (["prune", "bad.bin", "--keep", "1"], 3, "there is no folder bad.bin"),
        (["pdf", "bad.bin"], 3, "there is no folder bad.bin"),
        (["audience", "bad.bin", "out"], 3, "run notebook 09 first"),
        (["course", "build", "bad.bin"], 2, "bad.bin is a file"),
    ],
)
def test_wrong_use_is_one_clear_line_and_the_right_code(folder, capsys, words, code, message):
    assert cli.invoke(words) == code
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.startswith("segkit: ")
    assert len(told.err.strip().splitlines()) == 1
    assert told.out == ""


def test_usage_errors_end_with_2(capsys):
    assert cli.invoke(["rnu"]) == 2
    assert cli.invoke(["run", "--timeout", "soon"]) == 2


def test_debug_lets_the_error_through(folder):
    with pytest.raises(ParameterError):
        cli.invoke(["run", "07"], debug=True)


def test_debug_may_stand_anywhere(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["segkit", "run", "07", "--debug"])
    with pytest.raises(ParameterError):
        cli.main()
    monkeypatch.setattr(sys, "argv", ["segkit", "run", "07"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2


def test_version_names_what_results_depend_on(capsys):
    assert cli.invoke(["version"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("segkit 0.")
    assert "\npolars " in told


def test_a_broken_parameters_file_is_named(folder, capsys):
    (folder / "parameters.toml").write_text("seed = ", encoding="utf-8")
    assert cli.invoke(["run"]) == 2
    assert "parameters.toml cannot be read" in capsys.readouterr().err
    (folder / "parameters.toml").write_text('seed = "7"', encoding="utf-8")
    assert cli.invoke(["run"]) == 2
    assert "parameter 'seed' expects int, got '7' (str)" in capsys.readouterr().err


def test_new_lays_out_a_folder_that_runs_and_overwrites_nothing(shipped, tmp_path, capsys):
    made = tmp_path / "shop"
    assert cli.invoke(["new", str(made)]) == 0
    assert {path.name for path in made.iterdir()} == {
        "README.md",
        "mapping.toml",
        "parameters.toml",
        "notebooks",
    }
    assert 'source: str = \\"simulated\\"' in (made / "notebooks/01_orders.ipynb").read_text()
    assert workspace.read_parameters(made) == {"source": "simulated"}
    assert "segkit run" in (made / "README.md").read_text()
    (made / "mapping.toml").write_text("mine")
    assert cli.invoke(["new", str(made)]) == 2
    assert (made / "mapping.toml").read_text() == "mine"


SHOP = "Kunde;Datum;Betrag\n" + "".join(
    f"K{i % 7};{1 + i % 28:02d}.{1 + i % 12:02d}.2024;{i},50\n" for i in range(60)
)


def test_check_prints_the_audit_and_saves_the_mapping_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").write_text(SHOP, encoding="utf-8")
    assert cli.invoke(["check", "shop.csv", "--save", "mapping.toml"]) == 0
    told = capsys.readouterr().out
    assert "Read 60 order lines" in told
    assert "segkit run --data shop.csv --mapping mapping.toml" in told
    assert 'amount = "Betrag"' in (tmp_path / "mapping.toml").read_text()
    assert cli.invoke(["check", "shop.csv", "--mapping", "mapping.toml"]) == 0
    assert cli.invoke(["check", "shop.csv", "--save", "mapping.toml"]) == 2
    assert "mapping.toml exists" in capsys.readouterr().err


def test_check_ends_with_3_where_the_data_cannot_be_used_yet(tmp_path, capsys):
    data = tmp_path / "odd.csv"
    data.write_text("colour,shape\nred,round\n", encoding="utf-8")
    assert cli.invoke(["check", str(data)]) == 3
    told = capsys.readouterr()
    assert "customer_id" in told.out + told.err


def test_new_with_data_proposes_the_mapping_and_points_everything_at_it(
    shipped, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.csv").write_text(SHOP, encoding="utf-8")
    assert cli.invoke(["new", "work", "--data", "shop.csv"]) == 0
    assert workspace.read_parameters(tmp_path / "work") == {
        "source": "file",
        "data": "../shop.csv",
        "mapping": "mapping.toml",
        "name": "shop",
    }
    assert 'amount = "Betrag"' in (tmp_path / "work/mapping.toml").read_text()
    notebook = (tmp_path / "work/notebooks/02_segments.ipynb").read_text()
    assert 'data: str = \\"../shop.csv\\"' in notebook
    assert "Read 60 order lines" in (tmp_path / "work/README.md").read_text()


def test_an_unknown_source_is_refused_before_anything_runs(folder, capsys):
    assert cli.invoke(["run", "--source", "online-retial"]) == 2
    assert "did you mean 'online-retail'" in capsys.readouterr().err


@slow
def test_run_takes_the_folders_parameters_and_ends_with_the_index(folder, capsys):
    (folder / "parameters.toml").write_text('name = "march"\ncustomers = 12\n', encoding="utf-8")
    assert cli.invoke(["run", "02", "-p", "cut=5"]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == "reports/index.html"
    sizes = (folder / "reports/march/02_segments/tables/sizes.csv").read_text()
    assert sizes.splitlines() == ["segment,len", "high,6", "low,6"]
    shutil.rmtree(folder / "reports/march/01_orders")
    (folder / "reports/index.html").unlink()
    assert cli.invoke(["index", "reports"]) == 0
    assert "march" in (folder / "reports/index.html").read_text()


@slow
def test_a_failing_run_says_so_on_standard_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = ["import segkit.errors", "raise segkit.errors.SourceError('no such shop')"]
    write_notebook(tmp_path / "notebooks", "01_gate", cells=cells)
    assert cli.invoke(["run"]) == 3
    assert "01_gate: gate: no such shop" in capsys.readouterr().err


def test_help_shows_examples_and_the_version_is_an_option(capsys):
    assert cli.invoke(["--version"]) == 0
    assert capsys.readouterr().out == f"segkit {segkit.__version__}\n"
    commands = [
        command.callback.__name__.replace("_", "-") for command in cli.app.registered_commands
    ]
    for words in ([], *([name] for name in commands), ["course", "build"], ["course", "check"]):
        assert cli.invoke([*words, "--help"]) == 0
        assert "\n  Examples:\n    segkit " in capsys.readouterr().out


def test_a_file_is_the_same_wherever_it_is_looked_for_from(tmp_path, monkeypatch):
    """Relative, absolute, through a link, from above and below: one key."""
    place = tmp_path / "Läden & co"
    write_notebook(place / "notebooks", "01")
    (place / "été").mkdir()
    (place / "été" / "Käufe 1.csv").write_text("a\n1\n")
    (place / "link.csv").symlink_to("été/Käufe 1.csv")
    seen = []

    def carry_out(this, *_):
        seen.append(this)
        raise SegkitError("it was only planned")

    monkeypatch.setattr(run_module, "carry_out", carry_out)
    for where, data, out in [
        (place, "été/Käufe 1.csv", "reports"),
        (place, "./été/../été/Käufe 1.csv", "reports"),
        (place / "été", "Käufe 1.csv", "../reports"),
        (place / "notebooks", "../link.csv", "../reports"),
        (tmp_path, str(place / "link.csv"), str(place / "reports")),
    ]:
        monkeypatch.chdir(where)
        if where == tmp_path:
            monkeypatch.setattr(run_module, "notebook_folder", lambda _: place / "notebooks")
        words = ["run", "--source", "toy", "--data", data, "--out", out, "--name", "one"]
        assert cli.invoke(words) == 1
    keys = {execute.key_now(this, this.catalog.notebooks["01"])[1] for this in seen}
    assert len(seen) == 5
    assert len(keys) == 1
    assert {this.folder.resolve() for this in seen} == {place / "reports" / "one"}
    (place / "été" / "Käufe 1.csv").write_text("a\n2\n")
    assert execute.key_now(seen[0], seen[0].catalog.notebooks["01"])[1] not in keys


def test_below_a_working_folder_its_own_parameters_count(folder, monkeypatch, capsys):
    (folder / "parameters.toml").write_text('source = "toy"\ndata = "absent.csv"\n')
    monkeypatch.chdir(folder / "notebooks")
    assert cli.invoke(["run"]) == 3
    assert f"'absent.csv' is not there (looked in {folder})" in capsys.readouterr().err


def test_parameters_that_name_files_are_those_that_are_hashed():
    catalog = Catalog.open(workspace.shipped_notebooks())
    named = {
        one.name
        for notebook in catalog.notebooks.values()
        for one in notebook.parameters.values()
        if one.accepts and "path" in one.accepts.alternatives
    }
    assert named - {"out", "private"} == set(PATHS)  # these two say where to write


@pytest.mark.parametrize(
    ("file", "content", "code", "message"),
    [
        ("parameters.toml", b"\xff\xfe", 2, "parameters.toml cannot be read"),
        ("parameters.toml", b"seed = []", 2, "parameter 'seed' expects int"),
        ("notebooks/04.ipynb", b'{"cells": [3]}', 3, "04.ipynb is not a Jupyter notebook"),
        ("notebooks/04.ipynb", b'{"cells": {}}', 2, "expected one cell tagged 'parameters'"),
        ("notebooks/04.ipynb", b"{", 3, "04.ipynb is not a Jupyter notebook"),
    ],
)
def test_a_broken_file_of_the_folder_is_named(folder, capsys, file, content, code, message):
    (folder / file).write_bytes(content)
    assert cli.invoke(["run"]) == code
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 1


def test_a_record_that_is_not_ours_does_not_stop_the_index(folder, capsys):
    for name, text in {"a": "{bad", "b": '{"notebooks": 3}', "c": '{"notebooks": [3]}'}.items():
        (folder / "reports" / name).mkdir(parents=True)
        (folder / "reports" / name / "run.json").write_text(text)
    assert cli.invoke(["index", "reports"]) == 0
    assert cli.invoke(["prune", "reports", "--keep", "1"]) == 0


def test_what_was_not_foreseen_is_one_line_too(folder, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "audit_files", lambda *_: {}["absent"])
    assert cli.invoke(["check", "bad.bin"]) == 1
    assert capsys.readouterr().err == (
        "segkit: an error that was not foreseen: KeyError: 'absent' (--debug shows where)\n"
    )
    with pytest.raises(KeyError):
        cli.invoke(["check", "bad.bin"], debug=True)


def test_check_offers_answers_that_can_be_pasted_whatever_the_column_is_called(folder, capsys):
    rows = [f"C{i % 30},2024-{1 + i % 12:02}-{1 + i % 28:02},{10 + i}.5" for i in range(60)]
    (folder / "shop.csv").write_text(
        "\n".join(['Customer,Date,"נמש""כח"', *rows]), encoding="utf-8"
    )
    offered = "--answer 'orders.columns.amount=נמש\"כח'"
    assert cli.invoke(["check", "shop.csv"]) == 3
    assert offered in capsys.readouterr().out
    assert cli.invoke(["check", "shop.csv", *shlex.split(offered), "--save", "own.toml"]) == 0
    assert cli.invoke(["check", "shop.csv", "--mapping", "own.toml"]) == 0
