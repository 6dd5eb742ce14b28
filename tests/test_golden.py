"""What segkit 0.1 stored loads and counts as it did, and a comparison of runs sees what differs."""

import fnmatch
import json
import tarfile

import polars as pl
import pytest

import segkit
from segkit.factor.model import FactorModel
from segkit.result import decode
from tests.golden import ASKED, FOLDER
from tests.golden.compare import SECTIONS, Renames, differences, golden
from tests.golden.tables import describe_column, describe_run

MODELS = ("segments", "mixture", "latent", "mixed", "prototypes", "factors")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    place = tmp_path_factory.mktemp("golden")
    with tarfile.open(FOLDER / "golden.tar.xz") as packed:
        packed.extractall(place, filter="data")
    return place


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_the_first_version_gives_the_same_scores(kind, archive):
    renames = Renames.read()
    folder = archive / "models"
    customers = pl.read_csv(folder / "customers.csv", schema_overrides={"customer_id": pl.String})
    path = folder / f"{kind}.json"
    model = FactorModel.load(path) if kind == "factors" else segkit.load_model(path)
    scores = model.score(customers)
    scores = scores.to_frame() if kind == "factors" else scores
    old = pl.read_csv(folder / f"{kind}.scores.csv", infer_schema=False)
    old = {renames.column(name): describe_column(old[name]) for name in old.columns}
    assert {name: describe_column(scores[name]) for name in scores.columns} == old


def test_every_result_of_the_first_version_is_read_and_stored_again(archive):
    renames = Renames.read()
    files = sorted((archive / "results").glob("*.json"))
    assert len(files) > 65
    for file in files:
        old = json.loads(file.read_text(encoding="utf-8"))
        result = decode(old["stored"])
        frame = result.to_frame()
        assert frame.height == old["rows"], file.stem
        columns = [renames.column(name) for name in old["columns"]]
        changed = renames.why_changed(f"results/{file.stem}")
        assert changed or frame.columns == columns, file.stem
        data = json.loads(json.dumps(result.to_dict()))
        again = type(result).from_dict(data)
        assert again.to_frame().equals(frame), file.stem
        assert again.to_dict() == data, file.stem


def test_the_intake_of_a_working_folder_opens(archive):
    run = archive / "working" / "reports" / "simulated"
    taken = segkit.intake.Intake.open(run / "01_data_audit" / "data" / "clean")
    old = golden_rows(run / "01_data_audit" / "tables" / "ledger_orders.csv")
    assert taken.orders.height == old
    assert taken.orders["customer_id"].n_unique() > 50


def golden_rows(path):
    rows = pl.read_csv(path).filter(pl.col("entry").fill_null("") == "", step="kept")["rows"]
    return int(rows.item())


def test_what_notebooks_handed_on_is_read(archive):
    files = sorted(archive.glob("working/reports/*/*/data/*.json"))
    assert len(files) > 3
    for file in files:
        decode(json.loads(file.read_text(encoding="utf-8")))


def test_cuts_and_rules_of_the_first_version_are_read(archive):
    cuts = segkit.rfm.Cuts.load(archive / "models" / "cuts.json")
    assert cuts.to_dict() == json.loads((archive / "models" / "cuts.json").read_text())
    rules = json.loads((archive / "models" / "rules.json").read_text())
    assert segkit.rules.RuleSet.from_dict(rules).to_dict() == rules


# The comparison itself --------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    frame = pl.DataFrame(
        {"variable": ["recency", "visits"], "share": [0.1, 0.2], "why": ["one two three four", ""]}
    )
    (tmp_path / "old/05_x/tables").mkdir(parents=True)
    frame.write_csv(tmp_path / "old/05_x/tables/t.csv")
    (tmp_path / "new/05_y/tables").mkdir(parents=True)
    return tmp_path, frame


def compared(run, frame, **sections):
    folder, _ = run
    frame.write_csv(folder / "new/05_y/tables/t.csv")
    sections = {"files": {"05_x": "05_y"}} | sections
    return differences(
        describe_run(folder / "old"), describe_run(folder / "new"), Renames(sections)
    )


def test_alike_tables_do_not_differ_and_sentences_may_be_worded_anew(run):
    frame = run[1]
    assert compared(run, frame) == []
    assert compared(run, frame.with_columns(why=pl.lit("in wholly other words"))) == []
    assert compared(run, frame.with_columns(pl.col("share") * (1 + 1e-12))) == []


def test_a_number_a_text_a_column_and_a_table_that_differ_are_told(run):
    frame = run[1]
    (line,) = compared(run, frame.with_columns(pl.col("share") * (1 + 1e-7)))
    assert line.startswith("05_x/tables/t.csv: column share: ")
    (line,) = compared(run, frame.with_columns(pl.Series("share", [0.2, 0.1])))
    assert "column share" in line
    (line,) = compared(run, frame.with_columns(variable=pl.Series(["recency", "orders"])))
    assert line.endswith("recency, visits became 2 rows (0 null) of recency, orders")
    assert compared(run, frame.drop("share")) == ["05_x/tables/t.csv: column share is absent"]
    assert compared(run, frame.with_columns(new=1)) == ["05_x/tables/t.csv: column new is new"]
    assert compared(run, frame, files={}) == ["05_x/tables/t.csv: there is no 05_x/tables/t.csv"]


def test_what_is_named_otherwise_or_changed_on_purpose_is_said_in_renames(run):
    frame = run[1].rename({"share": "rate"}).with_columns(variable=pl.Series(["days", "visits"]))
    renamed = {"columns": {"share": "rate"}, "features": {"recency": "days"}}
    assert compared(run, frame, **renamed) == []
    assert len(compared(run, frame)) == 3
    other = frame.with_columns(rate=0.5)
    assert len(compared(run, other, **renamed)) == 1
    assert compared(run, other, **renamed, changed={"05_*:share": "shrunk"}) == []
    assert compared(run, other, changed={"05_x/tables/t.csv": "made anew"}) == []
    with pytest.raises(AssertionError, match="nothing reads"):
        Renames({"colums": {}})


def test_every_entry_of_renames_is_of_use(archive):
    """A table or file that nothing golden has is misspelt; what is gone cannot also be there."""
    renames = Renames.read()
    names = {name for source in ASKED for name in golden(source)}
    assert len(names) > 150
    parts = names | {part for name in names for part in name.split("/")}
    assert set(renames.sections["files"]) <= parts
    names |= {f"results/{file.stem}" for file in (archive / "results").glob("*.json")}
    for pattern, reason in renames.changed.items():
        table = pattern.partition(":")[0]
        assert any(fnmatch.fnmatchcase(name, table) for name in names), pattern
        assert len(reason.split()) > 3, f"{pattern}: the reason, please"
    for section in SECTIONS:
        assert all(old != new for old, new in renames.sections[section].items()), section
