"""Panel of purchases by product, period, price and segment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from segkit.display import counted, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least
from segkit.frames import is_returned, takes_frames

EPOCH = date(1970, 1, 1)
_FAR_ABOVE = 1.5  # times the usual share of discounted lines
_LEAST_GAP = 0.10  # and so much above it
_MOST_CELLS = 40_000_000  # product x day
ALL = "all customers"
Promotions = pl.DataFrame | str | None


def day_strata(
    sales: pl.LazyFrame, first: int, last: int, period_days: int, promotions: Promotions
) -> tuple[pl.DataFrame, int]:
    """Code the days from first to last by period and promotion.

    Returns
    -------
    (polars.DataFrame, int)
        day, period, period_start, promotion, stratum; and the number of promotion days.

    Examples
    --------
    >>> none = pl.LazyFrame(schema={"day": pl.Int32, "off": pl.Boolean})
    >>> off = pl.DataFrame({"starts": [date(1970, 1, 2)], "ends": [date(1970, 1, 2)]})
    >>> day_strata(none, 0, 3, 2, off)[0].get_column("stratum").to_list()
    [0, 1, 2, 2]
    """
    days = pl.DataFrame({"day": pl.int_range(first, last + 1, dtype=pl.Int32, eager=True)})
    period = (pl.col("day") - first) // period_days
    days = days.with_columns(
        period=period, period_start=(first + period * period_days).cast(pl.Int32)
    )
    on = _promoted(sales, promotions)
    days = days.with_columns(promotion=pl.col("day").is_in(on.implode()))
    stratum = pl.struct("period", "promotion").rank("dense").cast(pl.Int64) - 1
    return days.with_columns(stratum=stratum), int(days.get_column("promotion").sum())


def _promoted(sales: pl.LazyFrame, promotions: Promotions) -> pl.Series:
    if promotions is None:
        return pl.Series("day", [], pl.Int32)
    if isinstance(promotions, str):
        if promotions != "find":
            raise ParameterError(f'promotions must be a frame, "find" or None; got {promotions!r}')
        return find_promotions(sales)
    require_columns(promotions.columns, ["starts", "ends"], "promotions")
    spans = promotions.select(
        day=pl.int_ranges(
            pl.col("starts").cast(pl.Date).to_physical(),
            pl.col("ends").cast(pl.Date).to_physical() + 1,
            dtype=pl.Int32,
        )
    )
    return spans.explode("day").get_column("day").drop_nulls().unique()


def find_promotions(sales: pl.LazyFrame) -> pl.Series:
    """Return the days on which far more lines than usual carry a discount.

    "Far more": in a moving window of three days the share is at least 1.5 times that of the median
    day and at least 10 percentage points above it. The window keeps single days with few lines from
    deciding.
    """
    shares = (
        sales.filter(pl.col("off").is_not_null())
        .group_by("day")
        .agg(off=pl.col("off").cast(pl.Float64).sum(), lines=pl.len())
        .collect(engine="streaming")
        .sort("day")
    )
    if not shares.height:
        return pl.Series("day", [], pl.Int32)
    near = pl.col("off", "lines").cast(pl.Float64).rolling_sum(3, min_samples=1, center=True)
    share = shares.with_columns(near).select("day", share=pl.col("off") / pl.col("lines"))
    usual = float(share.get_column("share").median() or 0.0)  # type: ignore[arg-type]
    bound = max(_FAR_ABOVE * usual, usual + _LEAST_GAP)
    return share.filter(pl.col("share") > bound).get_column("day").cast(pl.Int32)


@dataclass(frozen=True, slots=True, eq=False)
class PricePanel:
    """Counts of purchases by product, period, price and segment.

    Attributes
    ----------
    cells : polars.DataFrame
        One row per product x stratum x price (x segment): product_id, category, stratum (code of
        the period and, within it, of promotion days), price, days (that the product was on sale
        at that price in the stratum), segment, lines (sale lines), units.
    first_day, last_day : datetime.date
    period_days : int
    prices_from : {"price list", "order lines"}
    off_list : float
        Share of sale lines charged (before discount) at another price than the panel's, by more
        than 1%.
    promotion_days : int
        Days that count as promotion.
    lines : int
        Sale lines counted.
    lines_apart : int
        Sale lines left out because they have no product or no price.
    changes, products_changed, products : int
        Price changes; products with at least one; products in the panel.
    notes : tuple of str
    """

    cells: pl.DataFrame
    first_day: date
    last_day: date
    period_days: int
    prices_from: str
    off_list: float
    promotion_days: int
    lines: int
    lines_apart: int
    changes: int
    products_changed: int
    products: int
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Number of products, price changes and sale lines in the panel."""
        return (
            f"{counted(self.lines, 'sale line')} of {counted(self.products, 'product')} from "
            f"{self.first_day} to {self.last_day}, with {counted(self.changes, 'price change')} of "
            f"{counted(self.products_changed, 'product')}; prices from the {self.prices_from}, "
            f"{percent(self.off_list)} of lines charged at another price."
        )


@takes_frames
def build_price_panel(
    orders: pl.DataFrame | pl.LazyFrame | str | Path,
    prices: pl.DataFrame | None = None,
    *,
    segments: pl.DataFrame | None = None,
    promotions: Promotions = "find",
    period_days: int = 7,
    as_of: date | None = None,
) -> PricePanel:
    """Count customers' purchases by product, period, price and segment.

    Lines are summed in one pass of the engine, so ten million lines take seconds. Returns are
    left out: they do not undo the decision to buy. Lines without a mark in ``is_return`` are
    returns if their amount (or, without one, quantity) is below zero.

    Parameters
    ----------
    orders : frame, lazy frame or path
        Clean order lines: customer_id, order_day, product_id, unit_price (before discount);
        category, is_return, discount, amount and quantity where there are any. A path is scanned
        (Parquet).
    prices : polars.DataFrame, optional
        Price list: product_id, valid_from (Date), unit_price. Without one, a product's price in a
        period is the commonest one of its sale lines, carried over periods without a sale; since
        the day of a change is then guessed, elasticities come out too small (by a tenth at half a
        line per product and week; tests/studies/study_price.py).
    segments : polars.DataFrame, optional
        customer_id and segment (a segment_name is preferred); other customers are left out.
    promotions : polars.DataFrame, "find" or None
        Frame with starts and ends (Date, both included); "find" takes days on which far more lines
        than usual carry a discount; None treats all days alike.
    period_days : int
        Length of a period; each gets an effect of its own, its promotion days another.
    as_of : datetime.date, optional
        Last day used.

    Returns
    -------
    PricePanel

    Raises
    ------
    ColumnError
        If orders lack product or price.
    DataError
        If no sale line remains.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": [*"abab"], "product_id": [*"xyxy"],
    ...                       "order_day": [0, 1, 7, 8], "unit_price": [2.0, 3.0, 2.5, 3.0]})
    >>> build_price_panel(lines, promotions=None).changes
    1
    """
    require_least(period_days=(period_days, 1))
    lazy = pl.scan_parquet(orders) if isinstance(orders, str | Path) else orders.lazy()
    sales = _sales(lazy, as_of)
    daily = _daily(sales)
    if not daily.height:
        raise DataError(
            "a price panel needs sale lines with a product and a price above zero; there are none"
        )
    first, last = (int(end) for end in daily.select(pl.min("day"), max=pl.max("day")).row(0))
    strata, promoted = day_strata(sales, first, last, period_days, promotions)
    grid, notes = _price_grid(daily, prices, strata, (first, last))
    counts = _counted(daily if segments is None else _by_segment(sales, segments), grid)
    cells = (
        grid.group_by("product", "stratum", "price")
        .agg(days=pl.len().cast(pl.Int64))
        .join(counts.select("segment").unique(), how="cross")
        .join(counts, on=["product", "stratum", "price", "segment"], how="left")
        .with_columns(pl.col("lines", "units").fill_null(0))
    )
    named = daily.group_by("product").agg(pl.col("category").drop_nulls().first().fill_null(""))
    cells = cells.join(named, on="product").rename({"product": "product_id"})
    counted_lines = int(cells.get_column("lines").sum())
    if not counted_lines:
        raise DataError("no sale line has a price in the price list on its day")
    changed = _changes(grid)
    return PricePanel(
        cells=cells.sort("segment", "product_id", "stratum", "price"),
        first_day=EPOCH + timedelta(days=first),
        last_day=EPOCH + timedelta(days=last),
        period_days=period_days,
        prices_from="order lines" if prices is None else "price list",
        off_list=_off_list(daily, grid),
        promotion_days=promoted,
        lines=counted_lines,
        lines_apart=int(daily.get_column("lines").sum()) - counted_lines,
        changes=int(changed.sum()),
        products_changed=len(changed),
        products=grid.get_column("product").n_unique(),
        notes=notes,
    )


def _sales(lazy: pl.LazyFrame, as_of: date | None) -> pl.LazyFrame:
    names = lazy.collect_schema().names()
    require_columns(names, ["customer_id", "order_day", "product_id", "unit_price"], "orders")
    keep = pl.col("product_id").is_not_null() & (pl.col("unit_price") > 0) & ~is_returned(names)
    if as_of is not None:
        keep &= pl.col("order_day") <= (as_of - EPOCH).days
    off = pl.col("discount") > 0 if "discount" in names else pl.lit(None, pl.Boolean)
    return lazy.filter(keep).select(
        "customer_id",
        day=pl.col("order_day").cast(pl.Int32),
        product="product_id",
        category=pl.col("category") if "category" in names else pl.lit(None, pl.String),
        paid=pl.col("unit_price").round_sig_figs(5),
        quantity=pl.col("quantity") if "quantity" in names else pl.lit(1.0),
        off=off,
    )


def _daily(sales: pl.LazyFrame) -> pl.DataFrame:
    """Lines by product, day and price paid."""
    return (
        sales.group_by("product", "day", "paid")
        .agg(
            lines=pl.len().cast(pl.Int64),
            units=pl.col("quantity").sum(),
            category=pl.col("category").first(),
        )
        .collect(engine="streaming")
    )


def _price_grid(
    daily: pl.DataFrame, prices: pl.DataFrame | None, strata: pl.DataFrame, bounds: tuple[int, int]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Give each product's price on each day that it is on sale: product, day, stratum, price."""
    notes: tuple[str, ...] = ()
    first, last = bounds
    most = _MOST_CELLS // (last - first + 1)
    sold = daily.group_by("product").agg(
        pl.col("lines").sum(), start=pl.col("day").min(), end=pl.col("day").max()
    )
    if sold.height > most:
        notes = (f"only the {counted(most, 'product')} with most lines are used",)
        sold = sold.sort("lines", "product", descending=[True, False]).head(most)
    if prices is None:
        listed = _from_lines(daily.join(sold.select("product"), on="product"), strata)
    else:
        require_columns(prices.columns, ["product_id", "valid_from", "unit_price"], "prices")
        listed = prices.select(
            product="product_id",
            day=pl.col("valid_from").cast(pl.Date).to_physical().cast(pl.Int32),
            price=pl.col("unit_price").round_sig_figs(5),
        ).filter(pl.col("price") > 0)
        starts = listed.group_by("product").agg(start=pl.col("day").min().clip(first))
        sold = sold.drop("start", "end").join(starts, on="product").with_columns(end=last)
    days = sold.select(
        "product", day=pl.int_ranges("start", pl.col("end") + 1, dtype=pl.Int32)
    ).explode("day")
    grid = (
        days.sort("day")
        .join_asof(listed.sort("day"), on="day", by="product", check_sortedness=False)
        .drop_nulls("price")
        .join(strata, on="day")
    )
    return grid.select("product", "day", "stratum", "price"), notes


def _from_lines(daily: pl.DataFrame, strata: pl.DataFrame) -> pl.DataFrame:
    """Infer prices from order lines: the most common price of each period.

    A price change is dated midway between the last line at the old price and the first at the new
    one, as the price between them is unknown. Dating it at the first new line would add days
    without sales to the old price.
    """
    usual = (
        daily.join(strata.select("day", "period"), on="day")
        .group_by("product", "period", "paid")
        .agg(pl.col("lines").sum(), first=pl.col("day").min(), last=pl.col("day").max())
        .sort("product", "period", "lines", "paid", descending=[False, False, True, False])
        .unique(["product", "period"], keep="first", maintain_order=True)
    )
    new = (pl.col("paid") != pl.col("paid").shift(1).over("product")).fill_null(value=True)
    runs = (
        usual.with_columns(run=new.cum_sum())
        .group_by("product", "run", maintain_order=True)
        .agg(pl.col("paid").first(), pl.col("first").min(), pl.col("last").max())
    )
    return _dated(runs, daily)


def _dated(runs: pl.DataFrame, daily: pl.DataFrame) -> pl.DataFrame:
    """Date each change midway between the old price's last line and the new one's first."""
    before = pl.col("paid", "first").shift(1).over("product").name.prefix("old_")
    pairs = runs.with_columns(before).with_row_index("pair")
    sold = daily.select("product", "day", "paid")
    between = pl.col("day").is_between(pl.col("old_first"), pl.col("last"))
    span = pairs.select("pair", "product", "paid", "old_paid", "old_first", "last")
    old = sold.join(span.drop("paid").rename({"old_paid": "paid"}), on=["product", "paid"])
    new = sold.join(span.drop("old_paid"), on=["product", "paid"])
    ends = (
        old.filter(between)
        .group_by("pair")
        .agg(old_last=pl.col("day").max())
        .join(new.filter(between).group_by("pair").agg(new_first=pl.col("day").min()), on="pair")
    )
    middle = ((pl.col("old_last") + pl.col("new_first") + 1) // 2).fill_null(pl.col("first"))
    dated = pairs.join(ends, on="pair", how="left").select(
        "product", day=middle.cast(pl.Int32), price="paid"
    )
    return dated.unique(["product", "day"], keep="last", maintain_order=True)


def _by_segment(sales: pl.LazyFrame, segments: pl.DataFrame) -> pl.DataFrame:
    """Lines and units by product, day and segment."""
    require_columns(segments.columns, ["customer_id"], "segments")
    name = next((c for c in ("segment_name", "segment") if c in segments.columns), None)
    if name is None:
        raise ParameterError("segments need a column segment or segment_name")
    names = segments.select("customer_id", segment=pl.col(name).cast(pl.String)).drop_nulls()
    return (
        sales.join(names.lazy(), on="customer_id")
        .group_by("product", "day", "segment")
        .agg(lines=pl.len().cast(pl.Int64), units=pl.col("quantity").sum())
        .collect(engine="streaming")
    )


def _counted(by_day: pl.DataFrame, grid: pl.DataFrame) -> pl.DataFrame:
    """Sum lines and units by cell and segment."""
    if "segment" not in by_day.columns:
        by_day = by_day.with_columns(segment=pl.lit(ALL))
    return (
        by_day.join(grid, on=["product", "day"])
        .group_by("product", "stratum", "price", "segment")
        .agg(pl.col("lines", "units").sum())
    )


def _changes(grid: pl.DataFrame) -> pl.Series:
    """Count each product's price changes."""
    before = pl.col("product", "price").shift(1).name.prefix("old_")
    moved = grid.sort("product", "day").with_columns(before)
    same = pl.col("product") == pl.col("old_product")
    moved = moved.filter(same & (pl.col("price") != pl.col("old_price")))
    return moved.group_by("product").len().get_column("len")


def _off_list(daily: pl.DataFrame, grid: pl.DataFrame) -> float:
    both = daily.join(grid, on=["product", "day"])
    if not both.height:
        return 0.0
    paid, price, lines = both.select("paid", "price", "lines").to_numpy().T
    return float(lines[np.abs(paid / price - 1) > 0.01].sum() / lines.sum())
