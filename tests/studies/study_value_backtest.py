"""How far are forecasts of value from what came, on real purchases, beside naive forecasts?

Three past dates each, 90 days ahead, on CDNOW, Online Retail and Complete Journey. Every forecast
is made with what was known at its date. ``--journey`` names the wheel or folder of Complete
Journey's files, which are not beside the project; without it its rows are not made again.
"""

from __future__ import annotations

import argparse

import polars as pl

import segkit
from segkit.predict import backtest_value
from tests.conftest import SHARED
from tests.studies._study import RESULTS, publish

SOURCES = {"cdnow": "cdnow_master.txt", "online-retail": "online_retail_2010_2011.parquet"}


def main() -> None:
    """Run the backtests and publish their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="one date of CDNOW alone, no table")
    parser.add_argument("--journey", default="", help="wheel or folder of Complete Journey")
    parser.add_argument("--jobs", type=int, default=2, help="not used: the backtests are few")
    options = parser.parse_args()
    paths = {n: SHARED / file for n, file in SOURCES.items() if (SHARED / file).exists()}
    if options.thin:
        paths = {name: path for name, path in paths.items() if name == "cdnow"}
    if options.journey:
        paths["complete-journey"] = options.journey
    if not paths:
        print("left out: none of the data sets is beside the project")
        return
    tables = []
    for name, path in paths.items():
        orders = segkit.clean_data(segkit.load_source(name, path)).orders
        result = backtest_value(orders, horizon_days=90, origins=1 if options.thin else 3)
        tables.append(result.table.select(pl.lit(name).alias("source"), pl.all()))
    old = RESULTS / "value_backtest.csv"
    if not options.journey and not options.thin and old.exists():
        kept = pl.read_csv(old, comment_prefix="#", try_parse_dates=True)
        tables.append(kept.filter(pl.col("source") == "complete-journey").cast(tables[0].schema))
    note = (
        "90 days ahead of each origin; bias: predicted over actual spend of the customers known, "
        "minus 1;\nmean_absolute_error per customer; top_share: share of actual spend of the 20% "
        "ranked highest (ties shared);\ntotal_within: the actual total lies in the model's 90% "
        "interval; customers_within: share of customers in theirs."
    )
    publish(pl.concat(tables), "value_backtest", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
