import json

import nbformat
import pytest

from segkit.errors import ParameterError, SourceError
from segkit.runner.catalog import Catalog, home, load_notebook, notebook_folder, run_name
from segkit.runner.execute import key_now
from segkit.runner.manifest import data_inputs, file_digest
from segkit.runner.opening import prepare_alone
from segkit.runner.parameters import check_parameters, parse_parameters, split_pairs
from segkit.runner.run import RunEnd, plan
from segkit.runner.workspace import read_parameters
from tests.toy_notebooks import SHARED, write_chain, write_notebook

CELL = """\
# What can be set
flag: bool = False  # yes or no
k: int = 4  # segments, 2 to 12
alpha: float = 0.05  # level
code: str = "#1 = best"  # a label
windows: list[int] = [30, 365]  # days
negative: float = -1.5
"""


def test_a_cell_is_read_with_types_defaults_and_meanings():
    found = parse_parameters(CELL)
    assert {name: (p.kind, p.default, p.help) for name, p in found.items()} == {
        "flag": ("bool", False, "yes or no"),
        "k": ("int", 4, "segments, 2 to 12"),
        "alpha": ("float", 0.05, "level"),
        "code": ("str", "#1 = best", "a label"),
        "windows": ("list[int]", [30, 365], "days"),
        "negative": ("float", -1.5, ""),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("k = 4", "expected 'name: type = literal"),
        ("k: int", "expected 'name: type = literal"),
        ("import os", "expected 'name: type = literal"),
        ("k: int = 2 + 2", "computed default"),
        ("k: int | None = 4", "declares int | None"),
        ("k: int = '4'", "expects int, got '4'"),
        ("k: int = True", "expects int, got True"),
        ("k: list[int] = ['a']", r"expects list\[int\]"),
        ("k: int = ", "line 1 is not Python"),
        ("k: int = 1\nk: int = 2", "declared twice"),
    ],
)
def test_a_line_that_is_anything_else_is_refused(line, message):
    with pytest.raises(ParameterError, match=message):
        parse_parameters(line, "05_segments")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("code", "007", "007"),
        ("code", "true", "true"),
        ("k", "007", 7),
        ("k", "-3", -3),
        ("alpha", "1", 1.0),
        ("alpha", "1e-3", 0.001),
        ("flag", "true", True),
        ("windows", "7,30", [7, 30]),
        ("windows", "[7, 30]", [7, 30]),
        ("windows", "", []),
    ],
)
def test_text_is_read_as_the_declared_type(name, text, value):
    read = parse_parameters(CELL)[name].read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("k", "yes"),
        ("k", "4.0"),
        ("k", "1_000"),
        ("alpha", "nan"),
        ("flag", "yes"),
        ("flag", "1"),
        ("windows", "7;30"),
        ("windows", '["7"]'),
        ("windows", "[7"),
    ],
)
def test_text_of_another_type_is_an_error(name, text):
    with pytest.raises(ParameterError, match=f"parameter '{name}' expects"):
        parse_parameters(CELL)[name].read(text)


def test_what_some_notebooks_declare_reaches_those_alone():
    declared = {"a": parse_parameters("k: int = 4"), "b": parse_parameters("seed: int = 0")}
    assert check_parameters(declared, {"k": 5}, {"seed": "7"}) == {"a": {"k": 5}, "b": {"seed": 7}}
    with pytest.raises(ParameterError, match="'sede'; did you mean 'seed'"):
        check_parameters(declared, {}, {"sede": "7"})
    with pytest.raises(ParameterError, match="expects int, got '5'"):
        check_parameters(declared, {"k": "5"})


def test_pairs_keep_later_equals_signs_and_come_once():
    assert split_pairs(["a=b=c"]) == {"a": "b=c"}
    for wrong in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(ParameterError):
            split_pairs(wrong)


def test_the_order_follows_from_what_is_read_and_written(tmp_path):
    write_chain(tmp_path)
    write_notebook(tmp_path, "00_late", reads=["segments"])
    catalog = Catalog.open(tmp_path)
    assert list(catalog.notebooks) == ["01_orders", "02_segments", "00_late", "03_summary"]
    assert catalog.closure(["00_late"]) == ["01_orders", "02_segments", "00_late"]
    assert catalog.upstream("03_summary") == ["01_orders", "02_segments", "00_late"]
    assert catalog.find("02") == "02_segments"
    assert catalog.find("notebooks/02_segments.ipynb") == "02_segments"
    with pytest.raises(ParameterError, match="did you mean '02_segments'"):
        catalog.find("02_segmets")


SWITCH = "tastes: bool = False  # tastes shape the segments\ncut: float = 1.0  # money\n"


def write_switched(folder):
    write_notebook(folder / "notebooks", "01_orders", writes=["orders"])
    survey = {"parameters": "items: int = 3  # asked\n", "writes": ["tastes"]}
    write_notebook(folder / "notebooks", "02_survey", reads=["orders"], **survey)
    reads = {"reads": ["orders", "tastes"], "reads_if": {"tastes": "tastes"}}
    write_notebook(folder / "notebooks", "03_segments", **reads, parameters=SWITCH)


def test_what_a_parameter_does_not_ask_for_is_neither_read_nor_run(tmp_path):
    write_switched(tmp_path)
    usual = plan(["03"], folder=tmp_path)
    assert usual.order == ["01_orders", "03_segments"]
    asked = plan(["03"], folder=tmp_path, texts={"tastes": "true", "items": "4"})
    assert asked.order == ["01_orders", "02_survey", "03_segments"]
    assert asked.given["02_survey"] == {"items": 4}
    with pytest.raises(ParameterError, match="unknown parameter 'items'"):
        plan(["03"], folder=tmp_path, texts={"items": "4"})
    whole = plan(folder=tmp_path)
    assert whole.order == ["01_orders", "02_survey", "03_segments"]
    assert whole.catalog.upstream("03_segments") == ["01_orders"]


def test_what_is_not_read_does_not_count_among_the_inputs_and_its_absence_does(tmp_path):
    write_switched(tmp_path)
    keys = []
    for tastes in ("old", "new"):
        for stem, name in (("01_orders", "orders"), ("02_survey", "tastes")):
            data = tmp_path / "reports/toy" / stem / "data"
            data.mkdir(parents=True, exist_ok=True)
            (data / f"{name}.parquet").write_text(tastes if name == "tastes" else "")
            (data.parent / "summary.json").write_text("{}")
        for switch in ("false", "true"):
            this = plan(["03"], folder=tmp_path, texts={"tastes": switch})
            keys.append(key_now(this, this.catalog.notebooks["03_segments"]))
    (off, _), (on, _), *_ = keys
    assert off["tastes"] == "left out: The parameter tastes is false."
    assert on["tastes"] == file_digest_of("old", tmp_path)
    assert "summary of 02_survey" in on.keys() - off.keys()
    assert keys[0] == keys[2]
    assert len({key for _, key in keys}) == 3


def test_a_notebook_opened_alone_builds_on_what_was_made_with_its_own_switches(
    tmp_path, monkeypatch
):
    write_switched(tmp_path)
    more = {"reads": ["segments", "tastes"], "reads_if": {"tastes": "tastes"}}
    write_notebook(tmp_path / "notebooks", "04_campaign", **more, parameters=SWITCH)
    path = tmp_path / "notebooks/03_segments.ipynb"
    path.write_text(path.read_text().replace('"writes": []', '"writes": ["segments"]'))
    monkeypatch.chdir(tmp_path)
    for stem, name in (("02_survey", "tastes"), ("03_segments", "segments")):
        folder = tmp_path / "reports/toy" / stem
        (folder / "data").mkdir(parents=True)
        (folder / f"data/{name}.parquet").write_text("")
        made = {"status": "done", "outputs": [], "parameters": {"tastes": False, "cut": 9.0}}
        (folder / "manifest.json").write_text(json.dumps(made))
    asked = []

    def note(notebooks, *, catalog, parameters, **_):
        typed = {**parameters, "source": "toy"}
        asked.append((plan(notebooks, catalog=catalog, parameters=typed), parameters))
        return RunEnd("toy", tmp_path, tmp_path, ())

    monkeypatch.setattr("segkit.runner.opening.run", note)
    declared = Catalog.open(tmp_path / "notebooks").notebooks["04_campaign"].parameters
    settings = {name: parameter.default for name, parameter in declared.items()}
    assert "tastes" in prepare_alone("04_campaign", settings).absent
    assert not asked
    assert "tastes" in prepare_alone("04_campaign", settings | {"tastes": True}).reads
    ((this, parameters),) = asked
    assert this.catalog.upstream("03_segments") == ["01_orders", "02_survey"]
    assert parameters["tastes"] is True
    assert "cut" not in parameters


def file_digest_of(text, folder):
    (folder / "text").write_text(text)
    return file_digest(folder / "text")


@pytest.mark.parametrize(
    ("reads_if", "message"),
    [
        ({"taste": "tastes"}, "unknown read 'taste'; did you mean 'tastes'"),
        ({"tastes": "taste"}, "unknown parameter of type bool 'taste'; did you mean 'tastes'"),
        ({"tastes": "cut"}, "unknown parameter of type bool 'cut'"),
    ],
)
def test_a_condition_names_what_is_read_and_a_switch(tmp_path, reads_if, message):
    reads = {"reads": ["tastes"], "reads_if": reads_if}
    path = write_notebook(tmp_path, "a", **reads, parameters=SWITCH)
    with pytest.raises(ParameterError, match=f"a: reads_if names {message}"):
        load_notebook(path)


def test_a_circle_a_missing_writer_and_two_writers_are_refused(tmp_path):
    write_notebook(tmp_path, "a", reads=["y"], writes=["x"])
    with pytest.raises(ParameterError, match="a reads unknown data name 'y'"):
        Catalog.open(tmp_path)
    write_notebook(tmp_path, "b", reads=["x"], writes=["y"])
    with pytest.raises(ParameterError, match="wait for one another: a, b"):
        Catalog.open(tmp_path)
    write_notebook(tmp_path, "b", writes=["x", "y"])
    with pytest.raises(ParameterError, match="a and b both write 'x'"):
        Catalog.open(tmp_path)


def test_none_or_two_parameters_cells_are_refused(tmp_path):
    path = write_notebook(tmp_path, "a")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(SHARED, metadata={"tags": ["parameters"]}))
    nbformat.write(notebook, path)
    with pytest.raises(ParameterError, match="one cell tagged 'parameters', found 2"):
        load_notebook(path)
    notebook.cells = [cell for cell in notebook.cells if not cell.metadata.get("tags")]
    nbformat.write(notebook, path)
    with pytest.raises(ParameterError, match="found 0"):
        load_notebook(path)


def test_a_file_that_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "a.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a\.ipynb is not a Jupyter notebook"):
        load_notebook(tmp_path / "a.ipynb")
    with pytest.raises(SourceError, match="there is no notebook"):
        load_notebook(tmp_path / "b.ipynb")


def test_outputs_do_not_change_a_notebooks_digest_but_code_does(tmp_path):
    path = write_notebook(tmp_path, "a", cells=["x = 1"])
    before = load_notebook(path).digest
    content = json.loads(path.read_text())
    content["cells"][3] |= {"execution_count": 7}
    path.write_text(json.dumps(content))
    assert load_notebook(path).digest == before
    content["cells"][3]["source"] = "x = 2"
    path.write_text(json.dumps(content))
    assert load_notebook(path).digest != before


def test_a_folders_notebooks_are_found_from_inside_it(tmp_path):
    write_chain(tmp_path / "notebooks")
    assert home(tmp_path / "notebooks") == tmp_path
    assert notebook_folder(tmp_path) == tmp_path / "notebooks"


def test_run_names():
    assert run_name({"source": "file", "data": "x/shop.csv.gz"}) == "shop"
    assert run_name({"source": "cdnow", "data": "x/y.txt"}) == "cdnow"
    for wrong in ("a/b", "..", "a:b"):
        with pytest.raises(ParameterError, match="cannot be a folder's"):
            run_name({"name": wrong})


def test_files_of_settings_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "parameters.toml").write_bytes(
        b'\xef\xbb\xbfseed = 3\r\nname = "M\xc3\xbcller"\r\n'
    )
    assert read_parameters(tmp_path) == {"seed": 3, "name": "Müller"}
    (tmp_path / "orders.csv").write_bytes(b"a\n1\n")
    mapping = b'\xef\xbb\xbf[orders]\r\nfile = "orders.csv"\r\n'
    (tmp_path / "mapping.toml").write_bytes(mapping)
    assert len(data_inputs({"mapping": "mapping.toml"}, tmp_path)) == 2
