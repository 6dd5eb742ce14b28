"""What notebooks' parameters accept: declared once, checked before anything runs."""

import ast
import json
import math
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segkit
from segkit import cli
from segkit.errors import ParameterError
from segkit.factor.correlation import METHODS as CORRELATIONS
from segkit.factor.extraction import EXTRACTIONS
from segkit.factor.rotation import ROTATIONS
from segkit.features.calendar import Calendar
from segkit.rfm.cuts import MAX_BINS
from segkit.runner import process
from segkit.runner.accepts import SOURCES, Accepts
from segkit.runner.catalog import Catalog
from segkit.runner.opening import open_notebook
from segkit.runner.parameters import check_parameters, literal, parse_parameters, set_parameters
from segkit.runner.workspace import lay_out, shipped_notebooks
from segkit.simulate.archetypes import DIFFICULTIES
from segkit.simulate.world import STRUCTURES

CATALOG = Catalog.open(shipped_notebooks())
EVERY = [
    (s, one) for s, notebook in CATALOG.notebooks.items() for one in notebook.parameters.values()
]
FREE = {"why", "control"}  # any text will do
WRONG = {
    "date": ["31/12/2024", "2024-02-30", "tomorrow"],
    "name": ["../../x", "a/b", ".hidden", "x" * 300],
    "condition": ["frequency >", "monetary", "import os"],
    "named-condition": ["mens = 1", "Men: mens ="],
    "offer-rule": ["THEN nothing", "IF frequency > THEN gift"],
    "claim": ["discount_share", "discount_share:"],
    "text": ["", "  "],
    "path": ["  "],
}


def wrong_texts(one):
    """List texts, as on a command line, that a parameter must refuse."""
    item = one.kind.removeprefix("list[").removesuffix("]")
    texts = {"bool": ["yes", "1", ""], "int": ["x", "1.5", "", "1e3"], "str": []}.get(
        item, ["x", "45%", "nan", "inf", "1,5", ""]
    )
    if one.accepts is None:
        return texts
    for part in one.accepts.alternatives:
        texts = texts + WRONG.get(part, [])
    texts += [choice.upper() for choice in one.accepts.choices] + ["neither"] * bool(
        one.accepts.choices
    )
    if item in ("int", "float"):
        bounds = [
            float(word)
            for word in " ".join(one.accepts.alternatives).split()
            if word[-1:].isdigit()
        ]
        beyond = [min(bounds) - 1, *([max(bounds) + 1] if "more" not in one.accepts.words else [])]
        texts += [f"{value:g}" if item == "float" else str(int(value)) for value in beyond
                  if one.accepts.refuse(value) is not None]  # fmt: skip
    if one.kind.startswith("list["):
        return [json.dumps([text]) for text in texts]
    return [text for text in texts if not (text == "" and "empty" in one.accepts.alternatives)]


@pytest.mark.parametrize(("stem", "one"), EVERY, ids=[f"{s}-{one.name}" for s, one in EVERY])
def test_every_parameter_takes_its_default_and_refuses_what_is_wrong(stem, one):
    assert one.help
    assert one.check(one.default) == one.default
    texts = wrong_texts(one)
    assert bool(texts) != (one.name in FREE)
    declared = {stem: CATALOG.notebooks[stem].parameters}
    for text in texts:
        with pytest.raises(ParameterError, match=f"parameter '{one.name}' expects"):
            check_parameters(declared, {}, {one.name: text})


@pytest.mark.parametrize(
    "pair",
    ["as_of=31/12/2024", "method=Quantile", "references=5", "customers=-5", "k=1", "k=three",
     "seed=-1", "margin=nan", "margin=1.5", "source=nowhere", "holdout_share=0.6", "calendar=UK",
     "name=a/b", "data=shop.csv"],
)  # fmt: skip
def test_a_wrong_value_ends_with_2_and_starts_no_process(pair, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process.subprocess, "Popen", lambda *_, **__: pytest.fail("it started"))
    words = ["--source", "simulated"] if pair == "data=shop.csv" else []
    assert cli.invoke(["run", "-p", pair, *words]) == 2
    assert capsys.readouterr().err.startswith("segkit: ")
    assert list(tmp_path.iterdir()) == []


def test_choices_are_those_of_the_library():
    def choices(stem, name):
        return set(CATALOG.notebooks[stem].parameters[name].accepts.alternatives)

    assert choices("01_data_audit", "source") == set(SOURCES)
    regions = choices("02_customer_table", "calendar") - {"empty"}
    assert all(Calendar.of(region).name for region in regions)
    with pytest.raises(ParameterError) as refused:
        Calendar.of("nowhere")
    assert sorted(str(refused.value).partition("Available: ")[2].split(", ")) == sorted(regions)
    assert choices("04_attitudes", "correlation") == set(CORRELATIONS)
    assert choices("04_attitudes", "extraction") == set(EXTRACTIONS)
    assert choices("04_attitudes", "rotation") == set(ROTATIONS)
    assert choices("03_rfm_segments", "bins") == {f"2 to {MAX_BINS}"}
    assert choices("01_data_audit", "difficulty") == set(DIFFICULTIES)
    assert choices("01_data_audit", "structure") == set(STRUCTURES)
    for lift in choices("01_data_audit", "lift"):
        assert segkit.simulate_retailer(1, lift=lift).tables["customers"].height == 1
    with pytest.raises(ParameterError, match="n_customers must be 1 to 16,777,215"):
        segkit.simulate_retailer(16_777_216)
    assert choices("01_data_audit", "customers") == {"1 to 16777215"}


def test_params_says_what_every_parameter_accepts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for stem, notebook in CATALOG.notebooks.items():
        assert cli.invoke(["params", stem]) == 0
        lines = {line.split(":")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
        for one in notebook.parameters.values():
            assert ("; accepts " in lines[one.name]) == (one.accepts is not None)
            assert one.accepts is not None or one.name in FREE or one.kind == "bool"
    assert cli.invoke(["params", "05"]) == 0
    assert "k: int = 0  number of segments; 0 lets the criteria vote; accepts 0, or 2 to 200" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("brackets", "good", "bad"),
    [
        ("0 | 2 or more", [0, 2, 9], [1, -1]),
        ("1 to 3", [1, 3], [0, 4]),
        ("above 0 and below 1", [0.1, 0.9], [0.0, 1.0, -1.0, 2.0]),
        ("above 0", [1e-9], [0.0]),
        ("-1 to 0.5", [-1.0, 0.5], [-1.1, 0.6]),
        ("easy | medium", ["easy"], ["Easy", ""]),
        ("empty | date", ["", "2024-02-29"], ["2023-02-29", " "]),
    ],
)
def test_brackets_are_read(brackets, good, bad):
    accepts = Accepts.read(brackets)
    assert all(accepts.refuse(value) is None for value in good)
    assert all(accepts.refuse(value) is not None for value in bad)


def test_brackets_that_mean_nothing_are_refused_where_they_stand():
    with pytest.raises(ParameterError, match=r"05: .*cannot read '2 \.\. 5'"):
        parse_parameters("k: int = 2  # segments [2 .. 5]", "05")
    with pytest.raises(ParameterError, match="did you mean 'ward'"):
        parse_parameters("m: str = 'ward'  # [ward | kmeans]")["m"].check("Ward")


def test_a_default_that_an_analyst_has_changed_is_checked_too():
    declared = {"05": parse_parameters("k: int = 1  # segments [0 | 2 or more]")}
    with pytest.raises(ParameterError, match="parameter 'k' expects 0, or 2 or more, got 1"):
        check_parameters(declared, {})


def test_shares_that_leave_nothing_over_are_refused_together():
    declared = {"a": CATALOG.notebooks["09_campaign_design"].parameters}
    with pytest.raises(ParameterError, match="'generic_share' and 'holdout_share' together"):
        check_parameters(declared, {"holdout_share": 0.6})
    with pytest.raises(ParameterError, match="together must stay below 1"):
        check_parameters(declared, {"holdout_share": 0.4})
    assert check_parameters(declared, {"holdout_share": 0.39})


def test_a_date_from_a_toml_file_serves_and_what_is_not_finite_does_not():
    day = CATALOG.notebooks["01_data_audit"].parameters["as_of"]
    assert day.check(date(2024, 1, 31)) == "2024-01-31"
    for value in (math.nan, math.inf):
        with pytest.raises(ParameterError, match="expects float, got"):
            parse_parameters("x: float = 0.5")["x"].check(value)


LAYOUTS = [
    'source: str = "simulated"',
    'source: str = (\n    "simulated"  # "simulated", = or # here\n)',
    "source: str = '''simulated'''  # three quotes",
    'source: str = \\\n    "simulated"',
    'source: str = "simu" "lated"; seed: int = 3',
    'seed: int = 1  # source: str = "other"\nsource: str = "simulated"  # é = "ü"',
    '# ünï\nsource : str="simulated"#x',
    'x: str = "a = b # c"\nsource: str = """simulated"""',
]


@pytest.mark.parametrize("text", LAYOUTS)
@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_is_set_however_the_cell_is_laid_out(text, value):
    changed = set_parameters(text, {"source": value, "absent": 1})
    before, after = parse_parameters(text), parse_parameters(changed)
    assert after["source"].default == value
    assert {n: p for n, p in before.items() if n != "source"} == {
        n: p for n, p in after.items() if n != "source"
    }
    assert after["source"].help == before["source"].help


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))) | st.booleans() | st.integers())
def test_a_value_is_written_as_python_reads_it(value):
    assert ast.literal_eval(literal(value)) == value


def test_values_of_another_type_are_not_set():
    with pytest.raises(ParameterError, match="expects int"):
        set_parameters("k: int = 1", {"k": "two"})
    assert set_parameters("v: list[str] = [\n    'a',  # first\n]\n", {"v": []}) == (
        "v: list[str] = []\n"
    )


@pytest.fixture
def own(tmp_path):
    rows = [
        f"c{i % 40},o{i},2024-{i % 6 + 1:02d}-{i % 27 + 1:02d},{i % 13 + 5}" for i in range(150)
    ]
    text = "customer_id,order_id,order_time,amount\n" + "\n".join(rows) + "\n"
    (tmp_path / 'A "shop" = ü#1.csv').write_text(text, encoding="utf-8")
    lay_out(tmp_path / "work", tmp_path / 'A "shop" = ü#1.csv')
    return tmp_path / "work"


def test_a_new_folders_notebooks_name_its_data(own):
    for path in sorted((own / "notebooks").glob("*.ipynb")):
        parameters = Catalog.open(own / "notebooks").notebooks[path.stem].parameters
        used = {name: parameters[name].default for name in ("source", "data", "mapping")}
        assert used == {
            "source": "file",
            "data": '../A "shop" = ü#1.csv',
            "mapping": "mapping.toml",
        }
        assert parameters["source"].accepts is not None


@pytest.mark.slow
def test_a_new_folders_first_notebook_runs_in_a_kernel_of_its_own(own, monkeypatch):
    import nbclient
    import nbformat

    monkeypatch.delenv("SEGKIT_CONTEXT", raising=False)
    path = own / "notebooks" / "01_data_audit.ipynb"
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    made = next((own / "reports").glob("*/01_data_audit/manifest.json"))
    assert json.loads(made.read_text(encoding="utf-8"))["parameters"]["source"] == "file"


def test_a_wrong_value_in_a_notebooks_own_cell_is_refused_when_it_opens(own, monkeypatch):
    monkeypatch.chdir(own / "notebooks")
    monkeypatch.delenv("SEGKIT_CONTEXT", raising=False)
    with pytest.raises(ParameterError, match="parameter 'as_of' expects nothing, or a date"):
        open_notebook("01_data_audit", {"as_of": "31/12/2024"})
    assert not (Path("..") / "reports").exists()
