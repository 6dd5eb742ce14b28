"""Recommendations per customer: what to buy again, and what to discover, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from segkit.display import counted, number, percent
from segkit.errors import DataError, require_columns, require_least, require_range
from segkit.frames import takes_frames
from segkit.ids import require_unique
from segkit.predict.buy_again import rank_again
from segkit.predict.histories import EPOCH, check_as_of
from segkit.predict.ranking import Floats, bought_matrix, rank_discover
from segkit.predict.recommender import (
    Recommender,
    fit_recommender,
    purchase_days,
    returned_pairs,
    without_new_products,
)
from segkit.result import Result, check_customers
from segkit.rules import Rule, RuleSet
from segkit.writing import write_frame

AGAIN, DISCOVER = "buy again", "discover"


@dataclass(frozen=True, slots=True, eq=False)
class Recommendations(Result):
    """Two ranked lists of products for each customer.

    Attributes
    ----------
    lists : polars.DataFrame
        One row per customer, list and rank: customer_id, list ("buy again" or "discover"), rank
        (from 1), product_id, name (where products have one), score (comparable within one list of
        one customer), due_date (in 'buy again': last purchase plus the usual interval, the
        customer's own shrunk to the product's; null where nobody bought it twice), basis ("own
        purchases", "goes together" or "popular"), reason (in words).
    left_out : polars.DataFrame
        What rules left out: kind ("customer", "product" or "customer and product"), reason, count.
    customers : int
        Customers for whom lists were asked for and allowed.
    as_of : date
        Last day of the purchases, inclusive.
    notes : tuple of str
        Caveats.
    """

    lists: pl.DataFrame
    left_out: pl.DataFrame
    customers: int
    as_of: date
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """State how many customers have which list, and on what it rests."""
        per = self.lists.group_by("list").agg(
            pl.col("customer_id").n_unique(),
            pl.col("product_id").n_unique(),
            popular=(pl.col("basis") == "popular").mean(),
        )
        rows = {row["list"]: row for row in per.iter_rows(named=True)}
        parts = []
        for name in (AGAIN, DISCOVER):
            row = rows.get(name, {"customer_id": 0, "product_id": 0, "popular": 0.0})
            words = (
                f"{number(row['customer_id'])} of {counted(self.customers, 'customer')} "
                f"{'has' if self.customers == 1 else 'have'} a '{name}' list, from "
                f"{counted(row['product_id'], 'product')}"
            )
            if row["popular"] > 0:
                words += f" ({percent(row['popular'])} of its rows by popularity)"
            parts.append(words)
        caveat = "Whether lists sell more, only a randomised test can show."
        return " ".join([f"{'; '.join(parts)}.", caveat, *self.notes])

    def write(self, path: Path | str) -> Path:
        """Write the lists as CSV, XLSX or Parquet, by the file's ending; for the owner alone."""
        return write_frame(self.lists, path, private=True)


@takes_frames
def recommend_products(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    model: Recommender | None = None,
    customers: pl.DataFrame | None = None,
    products: pl.DataFrame | None = None,
    as_of: date | None = None,
    n: int = 10,
    product_rule: str = "otherwise",
    customer_rule: str = "otherwise",
    boosts: Mapping[str, float] | None = None,
    skip_returned: bool = True,
) -> Recommendations:
    """List for each customer what to offer: products to buy again, and products to discover.

    Rules come first: who may be contacted and what may be offered. The model ranks within them.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines, as `fit_recommender` takes them.
    model : Recommender, optional
        By default fitted on these orders, and on the customers' segments where they have one.
    customers : polars or pandas frame, optional
        Whom to list: customer_id, segment where known, and what ``customer_rule`` reads. By default
        all who bought. Those without a purchase get what is popular in their segment.
    products : polars or pandas frame, optional
        What can be offered: product_id, name where known, and what ``product_rule`` and ``boosts``
        read. By default all that the model knows.
    as_of : date, optional
        Last day of the purchases, inclusive; by default the last day in the data.
    n : int
        Products per list, at most.
    product_rule, customer_rule : str
        Conditions, as `segkit.rules` reads them: "in_stock = true and margin > 0.2",
        "marketing_consent = true". A missing value meets none. The model's own columns can be read
        too: customers, recent_customers, repeat_share, interval_days, days_since_sold.
    boosts : mapping of str to float, optional
        Condition on products to the factor, above 0, by which their scores are multiplied.
    skip_returned : bool
        Leave out for a customer what this customer returned.

    Returns
    -------
    Recommendations

    Raises
    ------
    DataError
        If no customer or no product is left, or ids are repeated.
    ColumnError, RuleError
        If a rule names a column that is not there, or cannot be read.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pairs = {"customer_id": rng.integers(0, 60, 900), "product_id": rng.integers(0, 12, 900)}
    >>> orders = pl.DataFrame({**pairs, "order_day": rng.integers(0, 200, 900)})
    >>> goods = pl.DataFrame({"product_id": range(12), "in_stock": [True, False] * 6})
    >>> offered = recommend_products(orders, products=goods, product_rule="in_stock = true", n=2)
    >>> offered.lists.row(0, named=True)["reason"]
    'bought 3 times, usually every 46 days, last 82 days ago'
    """
    require_least(n=(n, 1))
    end = check_as_of(orders, as_of)
    if model is None:
        has_segment = customers is not None and "segment" in customers.columns
        segments = customers.select("customer_id", "segment") if has_segment else None  # type: ignore[union-attr]
        model = fit_recommender(orders, as_of=end, segments=segments)
    notes = list(model.notes)
    days, note = without_new_products(purchase_days(orders, end), model.products)
    notes += [note] if note else []
    who, left_out = _allowed_customers(days, customers, customer_rule)
    catalogue, factors, rejected, note = _weigh_products(model, products, product_rule, boosts)
    notes += [note] if note else []
    left_out += rejected
    days = days.join(who, on="customer_id", how="semi")
    barred = pl.DataFrame(schema={"customer_id": pl.String, "product_id": pl.String})
    if skip_returned:
        barred = returned_pairs(orders, end).join(who, on="customer_id", how="semi")
        barred = barred.join(model.products, on="product_id", how="semi")
        left_out.append(("customer and product", "returned by the customer", barred.height))
    again = _list_again(model, days, barred, catalogue, factors, (end - EPOCH).days, n)
    discover = _list_discover(model, who, days, barred, catalogue, factors, n)
    lists = pl.concat([again, discover]).sort("customer_id", "list", "rank")
    if catalogue["label"].equals(catalogue["product_id"]):
        lists = lists.drop("name")
    table = pl.DataFrame(
        [row for row in left_out if row[2]],
        schema={"kind": pl.String, "reason": pl.String, "count": pl.Int64},
        orient="row",
    )
    return Recommendations(lists, table, who.height, end, tuple(notes))


def _allowed_customers(
    days: pl.DataFrame, customers: pl.DataFrame | None, rule: str
) -> tuple[pl.DataFrame, list[tuple[str, str, int]]]:
    """Return the customers to list (customer_id, segment), and how many the rule leaves out."""
    if customers is None:
        customers = days.select(pl.col("customer_id").unique().sort())
    require_columns(customers.columns, ["customer_id"], "customers")
    check_customers(customers)
    who = customers.filter(_meets(customers, rule, "customer_rule"))
    if who.is_empty():
        customers_words = counted(customers.height, "customer")
        raise DataError(f"customer_rule leaves none of {customers_words}: {rule}")
    segment = pl.col("segment").cast(pl.String) if "segment" in who.columns else pl.lit("all")
    table = who.select("customer_id", segment=segment.fill_null("all"))
    return table, [("customer", f"not: {rule}", customers.height - who.height)]


def _meets(frame: pl.DataFrame, rule: str, name: str) -> pl.Series:
    """Tell which rows meet a condition; unknown counts as no."""
    return RuleSet((Rule(name, rule),), policy="many").matches(frame)[name]


def _weigh_products(
    model: Recommender, products: pl.DataFrame | None, rule: str, boosts: Mapping[str, float] | None
) -> tuple[pl.DataFrame, Floats, list[tuple[str, str, int]], str]:
    """Return the model's products with label and factor (0: not offered), and what was left out."""
    own = model.products
    listed = own.select("product_id", offered=pl.lit(value=True))
    frame, note = own, ""
    if products is not None:
        require_columns(products.columns, ["product_id"], "products")
        require_unique(products, "products", "product_id")
        replaced = [name for name in products.columns if name in own.columns[1:]]
        extra = products.with_columns(offered=pl.lit(value=True))
        frame = own.drop(replaced).join(extra, on="product_id", how="left", maintain_order="left")
        listed = frame.select("product_id", pl.col("offered").fill_null(value=False))
        unsold = products.join(own, on="product_id", how="anti").height
        if unsold:
            note = (
                f"{counted(unsold, 'product')} offered {'was' if unsold == 1 else 'were'} not "
                "bought by anybody yet, and can be in no list."
            )
        frame = frame.drop("offered")
    meets = _meets(frame, rule, "product_rule")
    sold = listed["offered"]
    factor = (sold & meets).to_numpy().astype(np.float32)
    if not factor.any():
        raise DataError(
            f"of {counted(own.height, 'product')} that the model knows, {number(int(sold.sum()))} "
            f"are in products and none of them meets product_rule: {rule}"
        )
    for condition, by in (boosts or {}).items():
        require_range("(0, inf)", boost=by)
        factor[_meets(frame, condition, "boosts").to_numpy()] *= by
    label = pl.col("product_id")
    if "name" in frame.columns:
        label = pl.coalesce(pl.col("name").cast(pl.String), label)
    rejected = [
        ("product", "no longer in products", int((~sold).sum())),
        ("product", f"not: {rule}", int((sold & ~meets).sum())),
    ]
    return frame.select("product_id", label=label), factor, rejected, note


def _list_again(
    model: Recommender,
    days: pl.DataFrame,
    barred: pl.DataFrame,
    catalogue: pl.DataFrame,
    factors: Floats,
    end: int,
    n: int,
) -> pl.DataFrame:
    """Rank each customer's own products that may be offered, with the reason in words."""
    offered = catalogue.with_columns(factor=pl.Series(factors)).filter(pl.col("factor") > 0)
    ranked = (
        rank_again(days, model.products, end, model.again)
        .join(offered, on="product_id", how="inner", maintain_order="left")
        .join(barred, on=["customer_id", "product_id"], how="anti", maintain_order="left")
        .with_columns(score=pl.col("score") * pl.col("factor"))
    )
    if np.ptp(factors[factors > 0]) > 0:  # boosts change the order
        ranked = ranked.sort("customer_id", "score", descending=[False, True], maintain_order=True)
    ranked = ranked.with_columns(rank=pl.int_range(1, pl.len() + 1).over("customer_id"))
    ago = _ago(pl.col("days_since"))
    usual = pl.format("every {}", _in_days(pl.col("interval_days").round()))
    once = pl.format("bought once, {}", ago)
    others = pl.format(
        "; usually bought again after {}", _in_days(pl.col("usual_days").round())
    ).fill_null("")
    reason = (
        pl.when(pl.col("times") == 1)
        .then(pl.format("{}{}", once, others))
        .otherwise(pl.format("bought {} times, usually {}, last {}", pl.col("times"), usual, ago))
    )
    return _as_list(ranked.filter(pl.col("rank") <= n), AGAIN, pl.lit("own purchases"), reason)


def _in_days(days: pl.Expr) -> pl.Expr:
    whole = days.cast(pl.Int64)
    return pl.when(whole <= 1).then(pl.lit("day")).otherwise(pl.format("{} days", whole))


def _ago(days: pl.Expr) -> pl.Expr:
    return (
        pl.when(days == 0)
        .then(pl.lit("on the last day"))
        .when(days == 1)
        .then(pl.lit("1 day ago"))
        .otherwise(pl.format("{} days ago", days))
    )


def _as_list(rows: pl.DataFrame, name: str, basis: pl.Expr, reason: pl.Expr) -> pl.DataFrame:
    return rows.select(
        "customer_id",
        pl.lit(name).alias("list"),
        pl.col("rank").cast(pl.Int64),
        "product_id",
        pl.col("label").alias("name"),
        pl.col("score").cast(pl.Float64),
        pl.col("due_date") if name == AGAIN else pl.lit(None, pl.Date).alias("due_date"),
        basis.alias("basis"),
        reason.alias("reason"),
    )


def _list_discover(
    model: Recommender,
    who: pl.DataFrame,
    days: pl.DataFrame,
    barred: pl.DataFrame,
    catalogue: pl.DataFrame,
    factors: Floats,
    n: int,
) -> pl.DataFrame:
    """Rank products new to each customer; where the model has none left, popular ones."""
    times = days.group_by("customer_id", "product_id").len("times")
    customers, bought = bought_matrix(times, model.products)
    returned = _on_rows_of(customers, barred, model.products)
    codes, scores, sources = rank_discover(model, bought, n, factors=factors, barred=returned)
    rows, ranks = np.nonzero(codes >= 0)
    names = catalogue["product_id"], catalogue["label"]
    modelled = pl.DataFrame(
        {
            "customer_id": customers.gather(rows),
            "rank": ranks + 1,
            "product_id": names[0].gather(codes[rows, ranks]),
            "label": names[1].gather(codes[rows, ranks]),
            "score": scores[rows, ranks],
            "source_id": names[0].gather(sources[rows, ranks]),
            "source": names[1].gather(sources[rows, ranks]),
        }
    ).join(
        times.rename({"product_id": "source_id"}),
        on=["customer_id", "source_id"],
        how="left",
        maintain_order="left",
    )
    often = (
        pl.when(pl.col("times") == 1)
        .then(pl.lit("once"))
        .otherwise(pl.format("{} times", pl.col("times")))
    )
    reason = pl.format("goes with {}, bought {}", pl.col("source"), often)
    lists = _as_list(modelled, DISCOVER, pl.lit("goes together"), reason)
    filled = _fill_popular(model, who, lists, times, barred, factors, n)
    filled = filled.join(catalogue, on="product_id", maintain_order="left")
    segment = (
        pl.when(pl.col("segment") == "all")
        .then(pl.lit(""))
        .otherwise(pl.format(" of {}", pl.col("segment")))
    )
    buyers = (
        pl.when(pl.col("customers") == 1)
        .then(pl.lit("1 customer"))
        .otherwise(pl.format("{} customers", pl.col("customers")))
    )
    last = f" in the last {counted(model.settings.recent_days, 'day')}"
    reason = pl.format("popular: bought by {}{}{}", buyers, segment, pl.lit(last))
    return pl.concat([lists, _as_list(filled, DISCOVER, pl.lit("popular"), reason)])


def _on_rows_of(
    customers: pl.Series, pairs: pl.DataFrame, products: pl.DataFrame
) -> sparse.csr_matrix | None:
    """Return the matrix of pairs with these customers as rows; None without a pair."""
    pairs = pairs.filter(pl.col("customer_id").is_in(customers.implode()))
    if pairs.is_empty():
        return None
    some, matrix = bought_matrix(pairs, products)
    places = np.searchsorted(customers.to_numpy(), some.to_numpy())
    shape = (len(customers), len(some))
    spread = sparse.csr_matrix(
        (np.ones(len(some), np.float32), (places, np.arange(len(some)))), shape=shape
    )
    return (spread @ matrix).tocsr()


def _fill_popular(
    model: Recommender,
    who: pl.DataFrame,
    lists: pl.DataFrame,
    times: pl.DataFrame,
    barred: pl.DataFrame,
    factors: Floats,
    n: int,
) -> pl.DataFrame:
    """Complete lists shorter than n by what is popular in the customer's segment, else in all."""
    offered = model.products.select("product_id").with_columns(factor=pl.Series(factors))
    popular = (
        model.popularity.join(offered.filter(pl.col("factor") > 0), on="product_id")
        .with_columns(score=pl.col("customers") * pl.col("factor"))
        .sort("segment", "score", "product_id", descending=[False, True, False])
    )
    best = {
        str(name[0]): part.select("product_id", "customers", "score").rows()
        for name, part in popular.group_by("segment", maintain_order=True)
    }
    length = lists.group_by("customer_id").len("listed")
    short = who.join(length, on="customer_id", how="left").with_columns(
        pl.col("listed").fill_null(0)
    )
    short = short.filter(pl.col("listed") < n).sort("customer_id")
    unwanted = pl.concat(
        [part.select("customer_id", "product_id") for part in (lists, times, barred)]
    ).join(short, on="customer_id", how="semi")
    skip: dict[str, set[str]] = {
        str(name[0]): set(part["product_id"]) for name, part in unwanted.group_by("customer_id")
    }
    rows: list[tuple[str, str, int, str, int, float]] = []
    for customer, segment, listed in short.iter_rows():
        used, rank = set(skip.get(customer, ())), listed
        for name in dict.fromkeys((segment, "all")):
            for product, buyers, score in best.get(name, ()):
                if rank == n:
                    break
                if product not in used:
                    rank += 1
                    used.add(product)
                    rows.append((customer, name, rank, product, buyers, score))
    schema = {
        "customer_id": pl.String,
        "segment": pl.String,
        "rank": pl.Int64,
        "product_id": pl.String,
        "customers": pl.Int64,
        "score": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
