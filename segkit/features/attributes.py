"""Attributes of customers from order lines: country, region, company, distance to a store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, require_columns
from segkit.features.calendar import day_number
from segkit.frames import takes_frames
from segkit.intake.country import country_code
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.intake import Intake

ATTRIBUTES = ("country", "region", "company")
EARTH_KM = 6371.0088  # mean radius, IUGG
STORES_AT_ONCE = 2_000_000  # distances kept in memory


@dataclass(frozen=True, slots=True, eq=False)
class CustomerAttributes(Result):
    """Attributes of customers as of a date.

    Attributes
    ----------
    frame : polars.DataFrame
        One row per customer: customer_id, what the customer records hold, country, region and
        company where they are known, and ``country_date``, ``region_date``, ``company_date``: the
        day of the order line that the value was taken from, null where it was taken from the
        customer's record.
    notes : tuple of str
        What was filled in, and from where.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Number of customers for whom each attribute is known."""
        counts = [
            f"{name} of {number(self.frame.height - self.frame[name].null_count())}"
            for name in ATTRIBUTES
            if name in self.frame.columns
        ]
        listed = f", with {', '.join(counts)}" if counts else ""
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.notes)
        return f"{counted(self.frame.height, 'customer')}{listed}.{notes}"


@takes_frames
def derive_attributes(
    orders: pl.DataFrame, customers: pl.DataFrame | None = None, *, as_of: date | None = None
) -> CustomerAttributes:
    """Take country, region and company of each customer from the latest order line that states it.

    What the customer's record holds takes precedence. Lines after ``as_of`` are not used. A country
    that is not stated follows from the region, if that is a country's name or if more than half of
    the other lines of the region name one country.

    Parameters
    ----------
    orders : polars.DataFrame
        Clean order lines: customer_id, order_day (or order_time too), and some of country, region,
        company.
    customers : polars.DataFrame, optional
        Clean customer records, one row per customer.
    as_of : datetime.date, optional
        The last day that is used.

    Returns
    -------
    CustomerAttributes

    Raises
    ------
    ColumnError
        If the orders have no customer or no day.
    DataError
        If a customer comes twice in the records.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "a", "b"], "order_day": [0, 9, 5],
    ...                       "country": ["FR", "DE", None]})
    >>> derive_attributes(lines).frame.select("customer_id", "country", "country_date").rows()
    [('a', 'DE', datetime.date(1970, 1, 10)), ('b', None, None)]
    """
    require_columns(orders.columns, ["customer_id", "order_day"], "orders")
    lines = orders.drop_nulls("customer_id")
    if as_of is not None:
        lines = lines.filter(pl.col("order_day") <= day_number(as_of))
    stated = [name for name in ATTRIBUTES if name in lines.columns]
    frame = lines.select(pl.col("customer_id").unique().sort())
    if customers is not None:
        require_columns(customers.columns, ["customer_id"], "customers")
        if customers["customer_id"].n_unique() < customers.height:
            raise DataError("a customer comes more than once in customers; expected one row each")
        frame = frame.join(customers, on="customer_id", how="full", coalesce=True)
    time = "order_time" if "order_time" in lines.columns else "order_day"
    notes: list[str] = []
    for name in stated:
        frame = _fill(frame, _latest(lines, name, time), name, notes)
    frame = _fill_countries(frame, lines, notes)
    return CustomerAttributes(frame.sort("customer_id"), tuple(notes))


def _latest(lines: pl.DataFrame, name: str, time: str) -> pl.DataFrame:
    """Return each customer's latest value; of several at one time the last in the alphabet."""
    value = pl.col(name).str.strip_chars()
    day = pl.col("order_day").cast(pl.Int32).cast(pl.Date)
    some = lines.select("customer_id", time, value.alias("value"), day.alias("day"))
    ordered = some.filter(pl.col("value").fill_null("") != "").sort(time, "value")
    return ordered.group_by("customer_id").agg(pl.col("value", "day").last())


def _fill(frame: pl.DataFrame, latest: pl.DataFrame, name: str, notes: list[str]) -> pl.DataFrame:
    """Put the lines' values where the record has none."""
    joined = frame.join(latest, on="customer_id", how="left", maintain_order="left")
    own = pl.col(name) if name in frame.columns else pl.lit(None, pl.String)
    used = joined.select(own.is_null() & pl.col("value").is_not_null()).to_series()
    if used.any():
        notes.append(f"{name} of {counted(int(used.sum()), 'customer')} from the order lines")
    return joined.with_columns(
        pl.coalesce(own, "value").alias(name),
        pl.when(own.is_null()).then("day").alias(f"{name}_date"),
    ).drop("value", "day")


def _fill_countries(frame: pl.DataFrame, lines: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """Add the country that follows from the region."""
    if "region" not in frame.columns:
        return frame
    named: dict[str, str] = {}
    if {"country", "region"} <= set(lines.columns):
        pairs = lines.drop_nulls(["country", "region"]).group_by("region", "country").len()
        most = pairs.with_columns(share=pl.col("len") / pl.col("len").sum().over("region"))
        named = dict(most.filter(pl.col("share") > 0.5).select("region", "country").iter_rows())
    regions = frame["region"].drop_nulls().unique()
    named = {region: region for region in regions if country_code(region)} | named
    follows = pl.col("region").replace_strict(named, default=None, return_dtype=pl.String)
    own = pl.col("country") if "country" in frame.columns else pl.lit(None, pl.String)
    filled = frame.with_columns(country=pl.coalesce(own, follows))
    if "country" not in frame.columns and len(named) < len(regions) / 2:
        return frame  # a few regions are named as countries: their customers would stand for all
    before = frame["country"].null_count() if "country" in frame.columns else frame.height
    added = before - filled["country"].null_count()
    if added:
        notes.append(f"country of {counted(added, 'customer')} from the region")
    return filled if added else frame


@takes_frames
def measure_store_distances(customers: pl.DataFrame, stores: pl.DataFrame) -> pl.DataFrame:
    """Measure each customer's distance to the nearest store, along the surface of the earth.

    Haversine formula on a sphere (R. W. Sinnott, 1984, "Virtues of the haversine", Sky and
    Telescope 68): accurate to half a per cent; not the distance by road.

    Parameters
    ----------
    customers : polars.DataFrame
        customer_id, latitude, longitude in degrees; missing ones have no distance.
    stores : polars.DataFrame
        store_id, latitude, longitude in degrees.

    Returns
    -------
    polars.DataFrame
        customer_id, nearest_store (store_id), store_distance_km, in the order of the customers.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If there is no store, or a coordinate lies beyond 90 or 180 degrees.

    Examples
    --------
    >>> homes = pl.DataFrame({"customer_id": ["a"], "latitude": [52.52], "longitude": [13.405]})
    >>> shops = pl.DataFrame({"store_id": ["Paris"], "latitude": [48.8566], "longitude": [2.3522]})
    >>> measure_store_distances(homes, shops)["store_distance_km"].round(0).item()
    877.0
    """
    home, _ = _points(customers, "customer_id", "customers")
    place, shops = _points(stores.drop_nulls(["latitude", "longitude"]), "store_id", "stores")
    if not shops.len():
        raise DataError("expected at least one store with coordinates; stores hold none")
    nearest = np.zeros(customers.height, dtype=np.int64)
    distance = np.full(customers.height, np.nan)
    rows = max(1, STORES_AT_ONCE // shops.len())
    for start in range(0, customers.height, rows):
        part = slice(start, start + rows)
        apart = _haversine(home[part, None], place[None])
        nearest[part] = np.argmin(apart, axis=1)
        distance[part] = apart[np.arange(apart.shape[0]), nearest[part]]
    return pl.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "nearest_store": shops.gather(nearest),
            "store_distance_km": distance,
        }
    ).with_columns(
        pl.col("store_distance_km").fill_nan(None),
        pl.when(pl.col("store_distance_km").is_not_nan()).then("nearest_store"),
    )


def _points(frame: pl.DataFrame, who: str, what: str) -> tuple[Any, pl.Series]:
    """Return latitude and longitude in radians, NaN where unknown, and the ids."""
    require_columns(frame.columns, [who, "latitude", "longitude"], what)
    degrees = frame.select(pl.col("latitude", "longitude").cast(pl.Float64)).to_numpy()
    for column, name, most in ((0, "latitude", 90.0), (1, "longitude", 180.0)):
        beyond = int((np.abs(np.nan_to_num(degrees[:, column], posinf=1e9)) > most).sum())
        if beyond:
            raise DataError(
                f"{number(beyond)} {what} have a {name} beyond {number(most)} degrees; expected "
                "decimal degrees"
            )
    return np.radians(degrees.astype(np.float64)), frame[who].cast(pl.String)


def _haversine(one: Any, other: Any) -> Any:
    """Return distances in kilometres between points (latitude, longitude) in radians."""
    half = np.sin((other - one) / 2) ** 2
    cosines = np.cos(one[..., 0]) * np.cos(other[..., 0])
    return 2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half[..., 0] + cosines * half[..., 1], 0, 1)))


def group_companies(taken: Intake, *, as_of: date | None = None) -> tuple[Intake, pl.DataFrame]:
    """Replace contacts by their companies as the customers, with the contacts' orders and events.

    An order line belongs to the company that it states, or else to its contact's; what a contact
    without a company buys stays the contact's own. Names that differ only in capital letters and
    spaces are one company, which bears the commonest spelling.

    Parameters
    ----------
    taken : Intake
        Clean tables with a company in the order lines or the customer records.
    as_of : datetime.date, optional
        Order lines after this day are not used to assign contacts to companies.

    Returns
    -------
    taken : Intake
        The same tables by company: orders with the contact in ``contact_id``, events, and one row
        per company in customers, with what describes companies.
    contacts : polars.DataFrame
        customer_id (the company), contact_id, orders.

    Raises
    ------
    DataError
        If there are no orders, or no company is stated anywhere.
    """
    if taken.orders is None:
        raise DataError(f"companies need orders; the source has {', '.join(taken.tables)}")
    own = derive_attributes(taken.orders, taken.customers, as_of=as_of).frame
    if "company" not in own.columns or own["company"].null_count() == own.height:
        raise DataError(
            "no company is stated: map a column as company in orders or customers, or let the "
            "customers be persons"
        )
    lines = taken.orders
    stated = [lines["company"]] if "company" in lines.columns else []
    spelt = _spellings(pl.concat([*stated, own["company"]]))
    home = own.select("customer_id", home=_canonical("company", spelt))
    named = _canonical("company", spelt) if stated else pl.lit(None, pl.String)
    orders = lines.join(home, on="customer_id", how="left", maintain_order="left").with_columns(
        contact_id=pl.col("customer_id"), customer_id=pl.coalesce(named, "home", "customer_id")
    )
    alone = int(
        orders.filter(pl.col("customer_id") == pl.col("contact_id"))["contact_id"].n_unique()
    )
    tables: dict[str, pl.DataFrame] = {**taken.tables, "orders": orders.drop("home")}
    if taken.events is not None:
        events = taken.events.join(home, on="customer_id", how="left", maintain_order="left")
        events = events.with_columns(customer_id=pl.coalesce("home", "customer_id")).drop("home")
        tables["events"] = events
    traits = [n for n in (*ATTRIBUTES[:2], "industry", "company_size") if n in own.columns]
    since = []  # a company is known since its first contact is
    if taken.customers is not None and "known_since" in taken.customers.columns:
        own = own.join(
            taken.customers.select("customer_id", "known_since"),
            on="customer_id",
            how="left",
            maintain_order="left",
        )
        since.append(pl.col("known_since").min())
    joined = own.with_columns(customer_id=pl.coalesce(_canonical("company", spelt), "customer_id"))
    tables["customers"] = (
        joined.group_by("customer_id")
        .agg(pl.col(traits).drop_nulls().sort().mode().sort().first(), *since)
        .sort("customer_id")
    )
    contacts = (
        orders.group_by("customer_id", "contact_id")
        .agg(orders=pl.col("order_id").n_unique())
        .sort("customer_id", "contact_id")
    )
    companies, persons = (orders[who].n_unique() - alone for who in ("customer_id", "contact_id"))
    note = (
        f"customers are {counted(companies, 'company', 'companies')} with "
        f"{counted(persons, 'contact')}, and "
        f"{counted(alone, 'buyer')} without a company"
    )
    return replace(taken, tables=tables, notes=(*taken.notes, note)), contacts


def _key(name: str) -> pl.Expr:
    return _tidy(name).str.to_lowercase()


def _tidy(name: str) -> pl.Expr:
    column: pl.Expr = pl.col(name).str.replace_all(r"\s+", " ").str.strip_chars()
    return column


def _spellings(names: pl.Series) -> dict[str, str]:
    """Return the commonest spelling of each company, by the name in lower case."""
    counts = names.alias("name").drop_nulls().to_frame().group_by(_tidy("name")).len()
    keyed = counts.with_columns(key=_key("name")).filter(pl.col("key") != "")
    best = keyed.sort(["len", "name"], descending=[True, False]).unique("key", keep="first")
    return dict(best.select("key", "name").iter_rows())


def _canonical(name: str, spelt: dict[str, str]) -> pl.Expr:
    return _key(name).replace_strict(spelt, default=None, return_dtype=pl.String)
