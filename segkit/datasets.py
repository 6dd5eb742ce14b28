"""Data sets to learn on: real ones from files, and the simulated retailer."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import ParameterError, SourceError, unknown
from segkit.intake import Mapping
from segkit.intake.readers import read

__all__ = ["Source", "load_source"]

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
        "simulated", "online-retail", "cdnow", "rfm-demo", "hillstrom" or "fast-food".
    path : path, optional
        The data set's file. CDNOW is also found in an installed ``Lifetimes`` wheel.
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
    if name not in LOADERS:
        raise SourceError(unknown("data set", name, LOADERS))
    if name == "simulated":
        return _simulated(path, options)
    if options:
        raise ParameterError(f"data set {name!r} takes no options, got {', '.join(options)}")
    return LOADERS[name](None if path is None else Path(path))


def _simulated(path: Path | str | None, options: dict[str, Any]) -> Source:
    from segkit.simulate import simulate_retailer

    if path is not None:
        raise ParameterError("the simulated retailer is made, not read: it takes no path")
    parameters = inspect.signature(simulate_retailer).parameters
    for option in options:
        if option not in parameters:
            raise ParameterError(unknown("option of the simulated retailer", option, parameters))
    retailer = simulate_retailer(**options)
    note = "This retailer is simulated: its customers, prices and answers are planted."
    tables = retailer.tables | {"links": retailer.extras["links"]}
    return Source("simulated", tables, retailer.mapping, retailer.truth, (note,))


def _online_retail(path: Path | None) -> Source:
    """UCI Online Retail: order lines of a UK gift retailer, December 2010 to December 2011."""
    file = _file("online-retail", path, "a Parquet, CSV or Excel file of UCI's Online Retail lines")
    frame = read(file, Mapping(), "orders")
    names = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice"]
    _expect(frame, names, "online-retail")
    # Excel and CSV editions write the customer's column with or without a blank.
    who = next((n for n in frame.columns if n.replace(" ", "") == "CustomerID"), "CustomerID")
    _expect(frame, [who], "online-retail")
    mapping = Mapping.from_dict(
        {
            "timezone": "Europe/London",
            "currency": "GBP",
            "orders": {
                "return_prefix": "C",
                "duplicates": "flag",
                "non_products": list(NON_PRODUCTS),
                "columns": {
                    "customer_id": who,
                    "order_id": "InvoiceNo",
                    "order_time": "InvoiceDate",
                    "product_id": "StockCode",
                    "quantity": "Quantity",
                    "unit_price": "UnitPrice",
                },
            },
        }
    )
    notes = (
        "Invoices that start with C are returns; some have no purchase in the period.",
        'Postage and fees are lines here; [orders] non_product_lines = "set_apart" drops them.',
        "Many customers are wholesalers.",
    )
    return Source("online-retail", {"orders": frame}, mapping, None, notes)


# Codes of postage, fees, manual and bank entries in Online Retail.
NON_PRODUCTS = (
    *("POST", "DOT", "M", "m", "C2", "D", "S", "B", "PADS", "CRUK"),
    *("BANK CHARGES", "AMAZONFEE"),
)


def _cdnow(path: Path | None) -> Source:
    """CDNOW: every purchase of 23,570 customers, January 1997 to June 1998."""
    file = path if path is not None else _in_wheel("Lifetimes", "CDNOW_master.txt")
    if file is None:
        raise SourceError(
            "cdnow: expected path=.../cdnow_master.txt (customer, date, CDs, dollars, parted by "
            "blanks), or an installed Lifetimes wheel that holds it"
        )
    file = _file("cdnow", file, "the text file cdnow_master.txt")
    mapping = Mapping.from_dict(
        {
            "timezone": "America/New_York",
            "currency": "USD",
            "orders": {
                "delimiter": "whitespace",
                "date_format": "%Y%m%d",
                "decimal": ".",
                "zero": "keep",
                "order_grain": "day",
                "columns": {
                    "customer_id": "customer_id",
                    "order_time": "date",
                    "quantity": "number_of_cds",
                    "amount": "dollar_value",
                },
            },
        }
    )
    frame = read(file, mapping, "orders")
    _expect(frame, ["customer_id", "date", "number_of_cds", "dollar_value"], "cdnow")
    notes = (
        "80 purchases of zero dollars are kept, as the published models do.",
        "There are no order ids and no products; one order is one customer's day.",
    )
    return Source("cdnow", {"orders": frame}, mapping, None, notes)


def _rfm_demo(path: Path | None) -> Source:
    """R rfm's demo orders: one line is one transaction."""
    file = _file("rfm-demo", path, "a CSV file of R rfm's demo orders")
    frame = read(file, Mapping(), "orders")
    _expect(frame, ["customer_id", "order_date", "revenue"], "rfm-demo")
    mapping = Mapping.from_dict(
        {
            "orders": {
                "order_grain": "line",
                "zero": "keep",
                "date_format": "%Y-%m-%d",
                "decimal": ".",
                "columns": {
                    "customer_id": "customer_id",
                    "order_time": "order_date",
                    "amount": "revenue",
                },
            }
        }
    )
    notes = ("Customers are known by name; the published scores are as of 2006-12-31.",)
    return Source("rfm-demo", {"orders": frame}, mapping, None, notes)


def _hillstrom(path: Path | None) -> Source:
    """Hillstrom's e-mail test of 2008: customers, arms and outcomes; no purchases by date."""
    file = _file("hillstrom", path, "a CSV file of Hillstrom's e-mail test")
    frame = read(file, Mapping(), "customers")
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
    extras = ("recency", "history_segment", "history", "mens", "womens", "newbie")
    mapping = Mapping.from_dict(
        {
            "currency": "USD",
            "customers": {
                "columns": {
                    "customer_id": "customer_id",
                    "region": "zip_code",
                    "preferred_channel": "channel",
                    **{name: name for name in extras},
                }
            },
            "assignments": {
                "columns": {
                    "customer_id": "customer_id",
                    "campaign_id": "campaign_id",
                    "arm": "segment",
                }
            },
        }
    )
    notes = (
        "The file has no customer ids; the row number stands for one.",
        "Outcomes (visit, conversion, spend in the two weeks after) lie in truth['outcomes'].",
    )
    return Source("hillstrom", tables, mapping, {"outcomes": outcomes}, notes)


def _fast_food(path: Path | None) -> Source:
    """Fast food survey: eleven yes/no items by 1,453 Australians, and who they are."""
    file = _file("fast-food", path, "a CSV file of the fast food survey")
    frame = read(file, Mapping(), "survey")
    _expect(frame, FAST_FOOD_COLUMNS, "fast-food")
    numbers = pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(len(str(frame.height)))
    liking = pl.col("Like").str.extract(r"([+-]?\d+)$").cast(pl.Int64)
    frame = frame.select(
        numbers.alias("customer_id"), *FAST_FOOD_COLUMNS[:11], liking.alias("liking"),
        pl.col("Age").cast(pl.Int64).alias("age"), gender="Gender",
        visit_frequency="VisitFrequency",
    )  # fmt: skip
    notes = ("The file has no ids of respondents; the row number stands for one.",)
    mapping = Mapping.from_dict({"survey": {"columns": {"customer_id": "customer_id"}}})
    return Source("fast-food", {"survey": frame}, mapping, None, notes)


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


def _in_wheel(package: str, file: str) -> Path | None:
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
}
