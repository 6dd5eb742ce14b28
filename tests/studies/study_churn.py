"""How well do churn and lead scores rank, and how right are their probabilities?

On CDNOW, Online Retail and Complete Journey, 90 days ahead, at three past dates where the data
allow so many (60 days ahead they do on all), and on simulated retailers. Every score is made with
what was known at its date, beside naive scores. ``--journey`` names the wheel or folder of Complete
Journey's files, which are not beside the project; without it its rows are kept as they are.
"""

from __future__ import annotations

import argparse
from typing import Any

import polars as pl

import segkit
from segkit.predict import backtest_churn, backtest_leads, backtest_next_purchase
from tests.conftest import SHARED
from tests.studies._study import RESULTS, publish

SOURCES = {"cdnow": "cdnow_master.txt", "online-retail": "online_retail_2010_2011.parquet"}
# AUC and Brier score, computed independently: REFERENCES.md, customer value.
REFERENCES = {
    ("cdnow", "1998-01-01", "logistic"): (0.808, 0.104),
    ("cdnow", "1998-01-01", "BG/NBD"): (0.793, 0.106),
    ("cdnow", "1998-01-01", "gradient boosting"): (0.807, 0.106),
    ("cdnow", "1998-01-01", "recency alone"): (0.793, None),
    ("online-retail", "2011-09-10", "logistic"): (0.736, 0.212),
    ("online-retail", "2011-09-10", "BG/NBD"): (0.733, 0.218),
    ("online-retail", "2011-09-10", "gradient boosting"): (0.731, 0.216),
    ("online-retail", "2011-09-10", "recency alone"): (0.683, None),
}
SHOWN = ("auc", "brier", "ece", "ece_by_chance", "pr_auc", "gain_top_decile")


def flatten(judged: Any, source: str, outcome: str) -> pl.DataFrame:
    """Return one row per origin and score, a column per measure and limit."""
    table = judged.table.filter(pl.col("measure").is_in(SHOWN)).with_columns(
        pl.col("origin").cast(pl.String).fill_null("all")
    )
    wide = table.pivot(
        on="measure", index=["origin", "score", "customers", "event_rate"],
        values=["value", "low", "high"],
    )  # fmt: skip
    names = [
        name
        for measure in SHOWN
        for name in (f"value_{measure}", f"low_{measure}", f"high_{measure}")
    ]
    renamed = {
        name: name.partition("_")[2]
        + {"value": "", "low": "_low", "high": "_high"}[name.split("_")[0]]
        for name in names
    }
    head = [pl.lit(source).alias("source"), pl.lit(outcome).alias("outcome")]
    head.append(pl.lit(judged.horizon_days).alias("horizon_days"))
    wide = wide.select(*head, "origin", "score", "customers", "event_rate", *names).rename(renamed)
    reference = [
        REFERENCES.get((source, row["origin"], row["score"]), (None, None))
        if judged.horizon_days == 90
        else (None, None)
        for row in wide.iter_rows(named=True)
    ]
    return wide.with_columns(
        pl.Series("reference_auc", [one[0] for one in reference], dtype=pl.Float64),
        pl.Series("reference_brier", [one[1] for one in reference], dtype=pl.Float64),
    )


def judge_next(orders: pl.DataFrame, products: Any, source: str, origins: int) -> pl.DataFrame:
    """Return the backtest of next purchases."""
    judged = backtest_next_purchase(orders, products=products, origins=origins)
    floats = [name for name in judged.table.columns if name.startswith(("days", "category"))]
    return judged.table.select(
        pl.lit(source).alias("source"),
        pl.col("origin").cast(pl.String),
        "prediction",
        "customers",
        *(pl.col(name).cast(pl.Float64) for name in floats),
    )


def simulate(seed: int, customers: int) -> Any:
    """Simulate a retailer, dirty as raw exports are, and take it in."""
    made = segkit.simulate_retailer(customers, seed=seed)
    source = segkit.datasets.Source("simulated", made.tables, made.mapping, made.truth)
    return segkit.clean_data(source, identities=segkit.pipeline.link_source(source))


def main() -> None:
    """Run the backtests and publish their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="few rows, no table")
    parser.add_argument("--journey", default="", help="wheel or folder of Complete Journey")
    parser.add_argument("--jobs", type=int, default=2, help="not used: the backtests are few")
    options = parser.parse_args()
    origins, resamples = (1, 20) if options.thin else (3, 200)
    paths = {n: SHARED / file for n, file in SOURCES.items() if (SHARED / file).exists()}
    if options.thin:
        paths = {name: path for name, path in paths.items() if name == "cdnow"}
    if options.journey:
        paths["complete-journey"] = options.journey
    scores, following = [], []
    for name, path in paths.items():
        taken = segkit.clean_data(segkit.load_source(name, path))
        lengths = (90,) if options.thin or name == "cdnow" else (90, 60)
        for days in lengths:
            judged = backtest_churn(
                taken.orders, horizon_days=days, origins=origins, resamples=resamples
            )
            scores.append(flatten(judged, name, "churn"))
        following.append(judge_next(taken.orders, taken.products, name, origins))
    for seed in (1,) if options.thin else (1, 2, 3):
        taken = simulate(seed, 800 if options.thin else 8_000)
        name = f"simulated {seed}"
        settings = {"events": taken.events, "origins": origins, "resamples": resamples}
        scores.append(flatten(backtest_churn(taken.orders, **settings), name, "churn"))
        if not options.thin:
            judged = backtest_leads(taken.orders, **settings)
            scores.append(flatten(judged, name, "first order"))
        following.append(judge_next(taken.orders, taken.products, name, origins))
    for table, name in ((scores, "churn"), (following, "next_purchase")):
        old = RESULTS / f"{name}.csv"
        if not options.journey and not options.thin and old.exists():
            kept = pl.read_csv(old, comment_prefix="#", schema=table[0].schema)
            table.insert(2, kept.filter(pl.col("source") == "complete-journey"))
    note = (
        "event: no order (churn), or a first order, within horizon_days of the origin; origin all: "
        "the mean over\nthe origins; limits: 95%, bootstrap over customers; ece_by_chance: the ECE "
        "that exactly right probabilities\nwould show; gain_top_decile: share with the event among "
        "the tenth with the highest scores over that of all,\nminus 1; reference: computed "
        "independently (REFERENCES.md)."
    )
    publish(pl.concat(scores), "churn", thin=options.thin, note=note)
    note = (
        "of the customers who bought within 90 days of the origin; days_error: mean absolute error "
        "of the days until\nthe next purchase; days_within: share in the 80% interval; "
        "category_hit: share whose next purchase day had the\ncategory predicted, with Wilson's "
        "95% limits."
    )
    publish(pl.concat(following), "next_purchase", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
