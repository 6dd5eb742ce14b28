"""Online Retail by country: markets two at a time, the second of which is made to fail."""

import json

import polars as pl
import pytest

from segkit import cli

pytestmark = pytest.mark.slow
# The last begins once the one that fails has ended.
MARKETS = {"Germany": 9495, "Portugal": 1519, "Austria": 401}


def test_markets_of_online_retail_run_and_one_that_fails_stops_none(
    shared_data, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    lines = pl.read_parquet(shared_data("online_retail_2010_2011.parquet"))
    free = pl.col("Country") == "Portugal"  # where nothing costs anything no line is left
    price = pl.when(free).then(0.0).otherwise("UnitPrice")
    lines.with_columns(UnitPrice=price).write_parquet("lines.parquet")
    words = ["run", "01", "--source", "online-retail", "--data", "lines.parquet"]
    words += ["--by", "country", "--min-customers", "10", "--jobs", "2"]
    words += ["--markets", ",".join(MARKETS)]
    assert cli.invoke(words) == 4
    assert "Portugal: gate: 01_data_audit: no order line is left" in capsys.readouterr().err
    place = tmp_path / "reports"
    batch = json.loads((place / "online-retail--markets/batch.json").read_text(encoding="utf-8"))
    assert batch["rows"] == {"read": 541_909, "in markets": 541_909, "without a market": 0}
    assert {one["market"]: one["rows"] for one in batch["markets"]} == MARKETS
    states = {one["market"]: one["status"] for one in batch["markets"]}
    assert states == dict.fromkeys(MARKETS, "done") | {"Portugal": "gate"}
    index = (place / "index.html").read_text(encoding="utf-8")
    assert "no order line is left" in index
    for one in batch["markets"]:
        assert one["market"] in index
        ledger = place / one["run"] / "01_data_audit/tables/ledger_orders.csv"
        if one["status"] == "done":
            first = pl.read_csv(ledger).filter(pl.col("step") == "read")
            assert first["rows"][0] == one["rows"]
    before = capsys.readouterr()
    assert before.out == ""
    assert cli.invoke(words) == 4  # the refusal is told again, and nothing is run
    told = capsys.readouterr()
    assert told.out.count("nothing has changed") == len(MARKETS) - 1
    assert "running" not in told.out
    assert "Portugal: gate: 01_data_audit: no order line is left" in told.err
