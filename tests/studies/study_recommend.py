"""Do recommendations name what customers buy next, on real purchases, beside naive lists?

Online Retail by the protocol of the reference figures: lines with a customer, quantity and price
above zero and no cancellation; lists made with what was known before 2011-10-01, judged on the days
after; settings chosen on the window of equal length before that. Complete Journey likewise, before
2017-10-01; it has 68,000 products, so that nearest products take the place of EASE. ``--journey``
names the wheel or folder of its files, which are not beside the project; without it its rows are
not made again.
"""

from __future__ import annotations

import argparse
from datetime import date

import polars as pl

import segkit
from segkit.predict import backtest_recommendations
from tests.conftest import SHARED
from tests.studies._study import RESULTS, publish

RETAIL = SHARED / "online_retail_2010_2011.parquet"
WINDOWS = {
    "online-retail": (date(2011, 12, 9), 70),
    "complete-journey": (date(2017, 12, 31), 92),
}


def read_retail() -> pl.DataFrame:
    """Read the purchases of the reference protocol from the raw file."""
    lines = pl.read_parquet(RETAIL).filter(
        pl.col("CustomerID").is_not_null(),
        pl.col("Quantity") > 0,
        pl.col("UnitPrice") > 0,
        ~pl.col("InvoiceNo").str.starts_with("C"),
    )
    return lines.select(
        customer_id=pl.col("CustomerID").cast(pl.Int64).cast(pl.String),
        product_id="StockCode",
        order_day=pl.col("InvoiceDate").dt.date().cast(pl.Int32),
    )


def main() -> None:
    """Run the backtests and publish their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="a third of the products, no table")
    parser.add_argument("--journey", default="", help="wheel or folder of Complete Journey")
    parser.add_argument("--jobs", type=int, default=2, help="not used: there are two backtests")
    options = parser.parse_args()
    sources = {}
    if RETAIL.exists():
        sources["online-retail"] = read_retail()
    if options.journey:
        source = segkit.load_source("complete-journey", options.journey)
        sources["complete-journey"] = segkit.clean_data(source).orders
    if not sources:
        print("left out: none of the data sets is beside the project")
        return
    tables = []
    for name, orders in sources.items():
        if options.thin:
            orders = orders.filter(pl.col("product_id").hash(seed=1) % 3 == 0)
        end, days = WINDOWS[name]
        result = backtest_recommendations(
            orders, as_of=end, test_days=days, draws=200 if options.thin else 2000
        )
        print(result.text, result.settings, flush=True)
        own = result.settings
        size = pl.when(pl.col("method") == "segkit").then(
            pl.lit(own.ridge if name == "online-retail" else float(own.neighbours))
        )
        tables.append(
            result.table.select(
                pl.lit(name).alias("source"),
                pl.all(),
                tuned_size=size,
                tuned_recent=pl.when(pl.col("method") == "segkit").then(own.recent_weight),
            )
        )
    old = RESULTS / "recommend.csv"
    if not options.journey and not options.thin and old.exists():
        kept = pl.read_csv(old, comment_prefix="#")
        tables.append(kept.filter(pl.col("source") == "complete-journey").cast(tables[0].schema))
    note = (
        "lists of 20; buy again: own products, judged on customers who bought one again; discover: "
        "new to the customer;\nboth: the first list, then the second, judged on all purchases; "
        "gain: segkit's NDCG less that of the row, paired;\nintervals: 95%, bootstrap over "
        "customers; novelty in bits; coverage: share of products in any list;\ntuned_size: ridge "
        "of EASE, or number of nearest products; tuned_recent: exponent of the recent share; both "
        "chosen before the window judged"
    )
    publish(pl.concat(tables), "recommend", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
