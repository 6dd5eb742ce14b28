"""Data contracts of the clean tables, and the check that enforces them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_columns, unknown

EVENT_TYPES = (
    "email_sent",
    "email_open",
    "email_click",
    "unsubscribe",
    "complaint",
    "site_visit",
    "page_view",
    "product_view",
    "cart_add",
    "checkout",
)

DTYPES: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "money": pl.Float64(),
    "number": pl.Float64(),
    "whole": pl.Int64(),
    "day": pl.Int32(),
    "time": pl.Datetime("us", "UTC"),
    "date": pl.Date(),
    "flag": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a contract.

    Attributes
    ----------
    name : str
        The column's name in clean frames.
    kind : str
        ``id``, ``text``, ``money``, ``number``, ``whole``, ``day``, ``time`` (UTC), ``date`` or
        ``flag``; it settles the type (see ``DTYPES``) and how raw values are read.
    about : str
        What it holds, with its unit.
    required : bool
        Whether a clean frame must have it, without nulls.
    raw : bool
        Whether a mapping may name a source column for it (False: intake derives it).
    clean : bool
        Whether it stands in the clean frame (False: read at intake, then dropped).
    """

    name: str
    kind: str
    about: str
    required: bool = False
    raw: bool = True
    clean: bool = True


SOURCE_ROW = Field(
    "source_row", "whole", "0-based data row in the raw table", required=True, raw=False
)
WHO = (
    Field("email", "id", "e-mail address, linked to a customer by identities", clean=False),
    Field("device_id", "id", "device or cookie, linked by identities", clean=False),
    Field("loyalty_id", "id", "loyalty card, linked by identities", clean=False),
)
CUSTOMER = Field("customer_id", "id", "the customer, as text", required=True)

CONTRACTS: dict[str, tuple[Field, ...]] = {
    "orders": (
        CUSTOMER,
        Field("order_id", "id", "the order that the line belongs to", required=True),
        Field("order_time", "time", "when it was placed", required=True),
        Field(
            "order_day",
            "day",
            "days since 1970-01-01 of the calendar day in the business time zone",
            required=True,
            raw=False,
        ),
        Field(
            "amount",
            "money",
            "line total after discount in the reporting currency; negative for returns",
            required=True,
        ),
        Field("product_id", "id", "the product"),
        Field("category", "text", "the product's category"),
        Field("brand", "text", "the product's brand"),
        Field("quantity", "number", "units; negative for returns"),
        Field("unit_price", "money", "price of one unit, in the reporting currency"),
        Field("discount", "money", "money off the line, >= 0, in the reporting currency"),
        Field("currency", "text", "the currency that the source gives, three letters"),
        Field("channel", "text", "where it was bought"),
        Field("country", "text", "country of the customer, as the order states it"),
        Field("region", "text", "region of the customer, as the order states it"),
        Field("company", "text", "company that buys, as the order states it"),
        Field("is_return", "flag", "whether the line takes goods or money back", required=True),
        Field(
            "status",
            "text",
            "state of the order: unpaid, cancelled and refunded ones are rejected",
            clean=False,
        ),
        Field(
            "payment_status",
            "text",
            "a second state, such as that of the payment; the worse of both decides",
            clean=False,
        ),
        Field("cancelled_at", "text", "when it was cancelled; any value rejects it", clean=False),
        Field(
            "refund",
            "money",
            "money given back on the order or line, taken off its amount",
            clean=False,
        ),
        Field(
            "rate",
            "number",
            "reporting currency per unit of the line's currency, by which its money is multiplied",
            clean=False,
        ),
        Field(
            "row_kind",
            "text",
            "kind of the row: line, return, discount (taken off its order), or what is rejected: "
            "total, charge, test, other",
            clean=False,
        ),
        *WHO,
        SOURCE_ROW,
    ),
    "events": (
        CUSTOMER,
        Field("event_time", "time", "when it happened", required=True),
        Field(
            "event_day",
            "day",
            "days since 1970-01-01 in the business time zone",
            required=True,
            raw=False,
        ),
        Field("event_type", "text", "one of " + ", ".join(EVENT_TYPES), required=True),
        Field("campaign_id", "id", "the campaign"),
        Field("session_id", "id", "the visit"),
        Field("product_id", "id", "the product"),
        Field("page", "text", "the page or section"),
        Field("channel", "text", "web, app, e-mail"),
        Field("duration_seconds", "number", "time spent, in seconds"),
        *WHO,
        SOURCE_ROW,
    ),
    "customers": (
        CUSTOMER,
        Field("birth_date", "date", "date of birth"),
        Field("known_since", "date", "day of the sign-up, or of the contact's record"),
        Field("gender", "text", "gender as the source words it"),
        Field("income_band", "text", "band of income"),
        Field("country", "text", "country where the customer lives"),
        Field("region", "text", "where the customer lives"),
        Field("latitude", "number", "degrees north of the customer's address"),
        Field("longitude", "number", "degrees east of the customer's address"),
        Field("company", "text", "firmographic: the company"),
        Field("preferred_channel", "text", "the channel asked for"),
        Field("industry", "text", "firmographic: line of business"),
        Field("company_size", "text", "firmographic: size band"),
        Field("email", "id", "e-mail address"),
        Field("device_id", "id", "device or cookie"),
        Field("loyalty_id", "id", "loyalty card"),
        Field("phone", "id", "phone number"),
        Field("marketing_consent", "flag", "purpose marketing: may be contacted"),
        Field("email_consent", "flag", "channel: may be written to by e-mail"),
        Field("sms_consent", "flag", "channel: may be sent text messages"),
        Field("phone_consent", "flag", "channel: may be called"),
        Field("post_consent", "flag", "channel: may be written to by post"),
        Field("ads_consent", "flag", "channel: may be uploaded, hashed, to an ad platform"),
        Field("profiling_consent", "flag", "purpose profiling: may be profiled and clustered"),
        SOURCE_ROW,
    ),
    "products": (
        Field("product_id", "id", "the product", required=True),
        Field("category", "text", "its category"),
        Field("brand", "text", "its brand"),
        Field("name", "text", "its name"),
        Field("list_price", "money", "list price"),
        SOURCE_ROW,
    ),
    "prices": (
        Field("product_id", "id", "the product", required=True),
        Field("valid_from", "date", "first day of the price", required=True),
        Field("unit_price", "money", "price of one unit from that day on", required=True),
        SOURCE_ROW,
    ),
    "fx": (
        Field("currency", "text", "three letters", required=True),
        Field("valid_from", "date", "first day of the rate", required=True),
        Field("rate", "number", "reporting currency per unit of this one", required=True),
        SOURCE_ROW,
    ),
    "campaigns": (
        Field("campaign_id", "id", "the campaign", required=True),
        Field("offer", "text", "what was offered"),
        Field("starts", "date", "first day"),
        Field("cost_per_contact", "money", "cost of one contact"),
        Field("margin", "number", "share of revenue that is profit"),
        SOURCE_ROW,
    ),
    "survey": (
        CUSTOMER,
        Field("nps", "number", "likelihood to recommend, 0 to 10"),
        Field("csat", "number", "satisfaction, 1 to 5"),
        *WHO,
        SOURCE_ROW,
    ),
    "links": (
        Field("customer_id", "id", "the account, as text"),
        Field("email", "id", "e-mail address seen with it"),
        Field("device_id", "id", "device or cookie seen with it"),
        Field("loyalty_id", "id", "loyalty card seen with it"),
        SOURCE_ROW,
    ),
    "assignments": (
        CUSTOMER,
        Field("campaign_id", "id", "the campaign"),
        Field("arm", "text", "the arm of the test", required=True),
        Field("offer", "text", "the offer received"),
        Field("assigned_at", "time", "when the arm was drawn"),
        Field("first_redeemed", "date", "first day on which a coupon of the campaign was redeemed"),
        SOURCE_ROW,
    ),
}
# Tables whose further columns are kept: survey items, attributes of customers and products.
OPEN = ("customers", "products", "campaigns", "survey", "assignments")


def fields(table: str) -> dict[str, Field]:
    """Return the contract's columns by name.

    Parameters
    ----------
    table : str
        A table of the contracts ("orders").

    Raises
    ------
    ParameterError
        If there is no such table; the message lists those known.

    Examples
    --------
    >>> fields("fx")["rate"].about
    'reporting currency per unit of this one'
    """
    if table not in CONTRACTS:
        raise ParameterError(unknown("table", table, CONTRACTS))
    return {field.name: field for field in CONTRACTS[table]}


def _breaches(name: str, field: Field) -> dict[str, pl.Expr]:
    """Return what breaks a field's rules, by rule: nulls, empty ids, numbers out of range."""
    column = pl.col(name)
    broken = {"no value": column.is_null()} if field.required else {}
    if field.kind == "id":
        broken["empty"] = column == ""
    if field.name == "event_type":
        broken["unknown"] = ~column.is_in(EVENT_TYPES)
    if field.kind in ("money", "number"):
        broken["not finite"] = ~column.is_finite()
    if field.name == "discount":
        broken["below zero"] = column < 0
    return {f"{name}: {rule}": rows.sum() for rule, rows in broken.items()}


def validate(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Check that a frame honours the table's contract.

    Parameters
    ----------
    table : str
        A table of the contracts ("orders").
    frame : polars.DataFrame
        A clean frame; columns beyond the contract pass unchecked.

    Returns
    -------
    polars.DataFrame
        The same frame.

    Raises
    ------
    ColumnError
        If a required column is missing.
    DataError
        If a column has the wrong type, or rows break a rule; with the rule and the count.

    Examples
    --------
    >>> prices = pl.DataFrame({"product_id": ["p1"], "source_row": [0]})
    >>> validate("products", prices).height
    1
    """
    contract = fields(table)
    required = [f.name for f in contract.values() if f.required]
    require_columns(frame.columns, required, table)
    for name, field in contract.items():
        if name in frame.columns and frame.schema[name] != DTYPES[field.kind]:
            raise DataError(
                f"{table}.{name} holds {frame.schema[name]}, expected {DTYPES[field.kind]}"
            )
    present = {name: field for name, field in contract.items() if name in frame.columns}
    checks = {rule: rows for item in present.items() for rule, rows in _breaches(*item).items()}
    counts = frame.lazy().select(**checks).collect().row(0, named=True)
    broken = [f"{rule} ({counted(rows, 'row')})" for rule, rows in counts.items() if rows]
    if broken:
        raise DataError(f"{table} breaks its contract: {'; '.join(broken)}")
    return frame


def dictionary() -> pl.DataFrame:
    """Return the data dictionary: what every column of every table means.

    Returns
    -------
    polars.DataFrame
        One row per column: table, column, type, required, about.

    Examples
    --------
    >>> dictionary().filter(table="fx").get_column("column").to_list()
    ['currency', 'valid_from', 'rate', 'source_row']
    """
    rows = [
        {
            "table": table,
            "column": field.name,
            "type": str(DTYPES[field.kind]),
            "required": field.required,
            "in_clean_frame": field.clean,
            "about": field.about,
        }
        for table, listed in CONTRACTS.items()
        for field in listed
    ]
    return pl.DataFrame(rows)
