import shutil
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from segkit import cli
from segkit.cluster import cluster_customers, cluster_latent, cluster_mixed, cluster_mixture
from segkit.errors import ColumnError, DataError, ModelError, ParameterError, SourceError
from segkit.features import build_features
from segkit.intake import Mapping, clean_data
from segkit.monitor.play import play_refreshes
from segkit.predict import estimate_value, fit_churn
from segkit.scoring import score_file, write_assignments

FEATURES = ["recency_days", "frequency", "monetary_365d"]
COLUMNS = [
    "customer_id", "segment", "segment_name", "distance", "second_segment", "margin", "unlike_any",
]  # fmt: skip


def raw_orders(n=60):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        for j in range(1 + 7 * (i % 3 == 0) + rng.integers(0, 2)):
            day = date(2024, 1 + (i + 5 * j) % 12, 1 + int(rng.integers(0, 28)))
            rows.append((f"c{i:02}", f"{i}-{j}", day, float(np.round(rng.gamma(3, 20), 2))))
    names = ["customer_id", "order_id", "order_date", "amount"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Give a folder with raw orders, the customer table, and a model that knows its features."""
    folder = tmp_path_factory.mktemp("shop")
    raw_orders().write_csv(folder / "orders.csv")
    orders = clean_data(folder / "orders.csv").orders
    table = build_features(orders, windows=[365], calendar="uk")
    table.frame.write_parquet(folder / "table.parquet")
    table.frame.select("customer_id", *FEATURES).write_csv(folder / "table.csv")
    words = dict(table.definitions.select("name", "description").iter_rows())
    found = cluster_customers(table.frame, features=FEATURES, k=3, definitions=words)
    found.model.save(folder / "model.json")
    bare = cluster_customers(table.frame, features=FEATURES, k=3).model
    bare.save(folder / "bare.json")
    return folder, found


def invoke(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.mark.parametrize("file", ["table.csv", "table.parquet", "orders.csv"])
def test_every_kind_of_file_gets_the_segments_of_the_fit(shop, tmp_path, file):
    folder, found = shop
    out = tmp_path / "out.csv"
    ran = invoke("score", folder / "model.json", folder / file, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "60 customers from" in ran.output
    written = pl.read_csv(out)
    assert written.columns == [*COLUMNS, "reason"]
    assert written["reason"].is_null().all()
    both = written.join(found.assignments, on="customer_id", validate="1:1")
    assert both.height == 60
    assert both["segment"].equals(both["segment_right"], check_names=False)
    assert both["segment_name"].equals(both["segment_name_right"], check_names=False)
    assert written["margin"].min() >= 0
    assert written["unlike_any"].dtype == pl.Boolean
    made = "raw orders up to 2024" if file == "orders.csv" else "a customer table"
    assert made in ran.output


def test_ids_are_spelled_as_where_the_segments_were_made(shop, tmp_path):
    folder, _ = shop
    clean, model = (tmp_path / part / "data" for part in ("01_data_audit", "05_segments"))
    for place in (clean / "clean", model):
        place.mkdir(parents=True)
    model = Path(shutil.copy(folder / "model.json", model / "segment_model.json"))
    lines = pl.read_csv(folder / "orders.csv").with_columns(
        pl.format("{}@x.org", "customer_id").alias("email"),
        customer_id=pl.format("00{}", pl.col("customer_id").rank("dense").cast(pl.Int64) + 100),
    )
    lines.write_csv(tmp_path / "orders.csv")
    joined = Mapping(options={"leading_zeros": "join"})
    for saved, first in ((Mapping(), "00101"), (joined, "101")):
        saved.save(clean / "clean" / "mapping.toml")
        assert score_file(model, tmp_path / "orders.csv").assignments["customer_id"].min() == first
    Mapping().save(clean / "clean" / "mapping.toml")
    bare = lines.with_columns(
        pl.col("customer_id").str.strip_prefix("00"), pl.format("b{}", "order_id").alias("order_id")
    )
    pl.concat([lines, bare]).write_csv(tmp_path / "both.csv")
    for made in (model, folder / "model.json"):
        for score in (score_file, play_refreshes):
            with pytest.raises(DataError, match=r'decide by leading_zeros = "join"'):
                score(made, tmp_path / "both.csv")
    whole = score_file(model, tmp_path / "both.csv", mapping=joined)
    assert whole.assignments["customer_id"].min() == "101"


def test_the_day_up_to_which_raw_orders_count_is_asked(shop, tmp_path):
    folder, _ = shop
    out = tmp_path / "june.parquet"
    words = ["score", folder / "model.json", folder / "orders.csv", "--as-of", "2024-06-30"]
    ran = invoke(*words, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "raw orders up to 2024-06-30" in ran.output
    orders = clean_data(folder / "orders.csv").orders
    known = build_features(orders, windows=[365], calendar="uk", as_of=date(2024, 6, 30)).frame
    assert pl.read_parquet(out)["customer_id"].to_list() == known["customer_id"].to_list()
    wrong = invoke(*words[:-1], "June", "--out", tmp_path / "x.csv")
    assert isinstance(wrong.exception, ParameterError)


@pytest.mark.parametrize("kind", ["mixture", "latent", "mixed"])
def test_every_kind_of_model_scores_a_file(kind, tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "customer_id": [f"{i:03}" for i in range(90)],
            "x": rng.normal(size=90) + np.repeat([0, 9, 18], 30),
            "c": np.repeat(["a", "b", "c"], 30),
            **{f"q{j}": rng.uniform(size=90) < np.repeat([0.1, 0.9, 0.5], 30) for j in range(5)},
        }
    )
    frame.write_csv(tmp_path / "table.csv")
    found = {
        "mixture": lambda: cluster_mixture(frame, features=["x"], k=3, starts=1),
        "latent": lambda: cluster_latent(frame, items=[f"q{j}" for j in range(5)], k=2, starts=3),
        "mixed": lambda: cluster_mixed(frame, numeric=["x"], categorical=["c"], k=3),
    }[kind]()
    model = found.model.save(tmp_path / "model.json")
    ran = invoke("score", model, tmp_path / "table.csv", "--out", tmp_path / "out.parquet")
    assert ran.exit_code == 0, ran.output
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.columns[:7] == COLUMNS
    assert out["segment"].to_list() == found.assignments["segment"].to_list()
    if kind == "mixed":
        frame.with_columns(c=pl.lit("new")).write_csv(tmp_path / "new.csv")
        assert (
            "90 have a category that was not there" in score_file(model, tmp_path / "new.csv").text
        )


def test_a_model_without_definitions_takes_no_raw_orders(shop):
    folder, _ = shop
    with pytest.raises(ModelError, match="the model does not define recency_days"):
        score_file(folder / "bare.json", folder / "orders.csv")


def test_features_defined_otherwise_are_refused(shop):
    from dataclasses import replace

    folder, found = shop
    other = replace(
        found.model, definitions={**found.model.definitions, "frequency": "lines, not orders"}
    )
    with pytest.raises(
        ModelError, match=r"frequency is now defined as .* fitted on 'lines, not orders'"
    ):
        score_file(other, folder / "orders.csv")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["model.json", "none.csv"], SourceError, "there is no file none.csv"),
        (["none.json", "table.csv"], ModelError, "no model file"),
        (["orders.csv", "table.csv"], ModelError, "not JSON"),
        (["model.json", "part.csv"], ColumnError, "part.csv lacks frequency"),
        (["model.json", "table.csv", "--out", "table.csv"], ParameterError, "not overwritten"),
        (
            ["model.json", "table.csv", "--out", "x.xlsx"],
            ParameterError,
            "ends in .csv or .parquet",
        ),
    ],
)
def test_wrong_use_is_named(shop, monkeypatch, words, error, message):
    folder, _ = shop
    monkeypatch.chdir(folder)
    pl.read_csv("table.csv").drop("frequency").write_csv("part.csv")
    ran = invoke("score", *words)
    assert isinstance(ran.exception, error)
    assert message in str(ran.exception)
    assert not (folder / "assignments.csv").exists()
    assert cli.invoke(["score", *words]) in (1, 2, 3)


def test_what_exists_is_left_alone(shop, tmp_path):
    folder, _ = shop
    found = score_file(folder / "model.json", folder / "table.csv")
    write_assignments(found, tmp_path / "a.csv")
    with pytest.raises(ParameterError, match="not overwritten"):
        write_assignments(found, tmp_path / "a.csv")
    assert found.to_frame().height == 60


@pytest.fixture(scope="module")
def run_folder(shop, tmp_path_factory):
    """Give a run's folder: models of segments, value and churn of a shop of 200 customers."""
    folder, _ = shop
    run = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(1)
    customer, day = np.nonzero(rng.random((200, 400)) < rng.gamma(1.0, 0.02, 200)[:, None])
    lines = pl.DataFrame({
        "customer_id": [f"n{one:03}" for one in customer],
        "order_id": [str(one) for one in range(len(day))],
        "order_date": np.datetime64("2024-01-01") + day,
        "amount": rng.gamma(3.0, 20.0, len(day)).round(2),
    })  # fmt: skip
    lines.write_csv(run / "orders.csv")
    orders = clean_data(run / "orders.csv").orders
    for place in ("05_segments", "08_value_and_churn"):
        (run / place / "data").mkdir(parents=True)
    model = (folder / "model.json").read_bytes()
    (run / "05_segments" / "data" / "segment_model.json").write_bytes(model)
    data = run / "08_value_and_churn" / "data"
    value = estimate_value(orders, horizon_days=90, draws=100)
    value.model.save(data / "value_model.json")
    fit_churn(orders, windows=2).save(data / "churn_model.json")
    return run, value, orders


def test_a_run_scores_value_churn_and_next_purchase_too(run_folder, tmp_path):
    run, value, orders = run_folder
    out = tmp_path / "scores.csv"
    ran = invoke("score", run, run / "orders.csv", "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "expected to bring" in ran.output
    assert "no order within 90 days" in ran.output
    written = pl.read_csv(out, try_parse_dates=True)
    both = written.join(value.customers, on="customer_id", suffix="_fitted")
    assert both.height == value.customers.height > 150
    for name in ("p_alive", "expected_orders", "expected_value"):
        assert both[name].to_numpy() == pytest.approx(both[f"{name}_fitted"].to_numpy())
    assert (both["next_date"] > orders["order_time"].max().date()).all()
    assert both["churn_probability"].is_between(0, 1).all()
    # A higher chance of an order goes with a lower one of churn.
    assert both.select(pl.corr("p_order", "churn_probability", method="spearman")).item() < -0.5


def test_value_and_churn_need_raw_orders(run_folder, shop):
    run, *_ = run_folder
    folder, _ = shop
    value = run / "08_value_and_churn" / "data" / "value_model.json"
    with pytest.raises(ParameterError, match=r"raw orders; table\.csv is a customer table"):
        score_file(folder / "model.json", folder / "table.csv", value=value)
    alone = score_file(folder / "model.json", run / "orders.csv", value=value)
    assert "expected_value" in alone.assignments.columns
    assert "churn_probability" not in alone.assignments.columns
    plain = score_file(run, folder / "table.csv")
    assert "expected_value" not in plain.assignments.columns
    with pytest.raises(ModelError):
        score_file(folder / "model.json", run / "orders.csv", churn=value)
