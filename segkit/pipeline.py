"""From order lines to segments in one call, and the choices that the notebooks share with it."""

from __future__ import annotations

import html
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from segkit.cluster.refits import Method
from segkit.display import counted, number, percent, table_html
from segkit.errors import DataError, require_choice
from segkit.frames import takes_frames
from segkit.result import Figure, Result

if TYPE_CHECKING:
    from segkit.cluster.segments import Segmentation
    from segkit.datasets import Source
    from segkit.features import CustomerTable
    from segkit.intake import Audit, Intake
    from segkit.intake.identity import Identities
    from segkit.intake.ledger import Ledger
    from segkit.intake.mapping import Mapping
    from segkit.profile import Profile

__all__ = [
    "CustomerSegments",
    "build_answer_table",
    "choose_variables",
    "find_attributes",
    "find_products",
    "judge_quality",
    "link_source",
    "segment",
]

# What a retailer can act on: how recently, often and dearly a customer buys, at what price and
# occasion, what comes back, and how it deals with mail and site. One variable a topic, so that
# no topic outvotes another; rates, so that old and new customers compare. Each is used where the
# source has it. How near this list comes to the truth: tests/studies/study_archetypes.py.
BEHAVIOUR = (
    "recency_days",
    "orders_per_year",
    "order_value_mean",
    "discount_share",
    "gift_share",
    "return_share",
    "visits_per_year",
    "open_rate",
    "abandonment_rate",
    "engagement_recency_days",
)
MOST_MISSING = 0.5
# Customers that segments are looked for among: with fewer, five segments could not all have the ten
# that a segment needs to be judged (`segkit.cluster.stability.LEAST_SEGMENT`), and k is
# chosen from noise.
LEAST_CUSTOMERS = 50
Buyers = Literal["persons", "companies"]
# Days of the windows over which features are also counted, beside all of a customer's time.
WINDOWS = (7, 30, 365)
IDENTIFIERS = ("customer_id", "email", "device_id", "loyalty_id")
POOR_KEPT = 0.5  # share of order lines kept, below which the data are poor
WRONG = 0.02  # share of order lines rejected for what they hold, above which they need attention
BY_CHOICE = ("no_profiling_consent", "cancelled", "unpaid", "erased", "other_type")
# What fits the width of a notebook; `CustomerSegments.to_frame` has the intervals too.
SHOWN = (
    "segment",
    "segment_name",
    "customers",
    "customer_share",
    "revenue_share",
    "revenue_per_customer",
    "marked_by",
)


def build_answer_table(source: Source) -> tuple[pl.DataFrame, list[str]]:
    """Return the customers of a survey without purchases, with their answers as variables.

    Parameters
    ----------
    source : Source
        With a table ``survey``: customer_id, yes/no items, and descriptions.

    Returns
    -------
    table : polars.DataFrame
        One row per respondent, the items as 1 and 0.
    items : list of str
        The yes/no items.

    Raises
    ------
    DataError
        If the source holds no survey, or one without yes/no items.

    Examples
    --------
    >>> from segkit.datasets import Source
    >>> from segkit.intake import Mapping
    >>> survey = pl.DataFrame({"customer_id": ["a", "b"], "cheap": ["Yes", "No"], "age": [31, 54]})
    >>> table, items = build_answer_table(Source("mine", {"survey": survey}, Mapping()))
    >>> items, table["cheap"].to_list()
    (['cheap'], [1, 0])
    """
    from segkit.cluster.latent import read_answers

    if "survey" not in source.tables:
        raise DataError(f"{source.name} holds neither purchases nor a survey")
    survey = source.tables["survey"]
    items = [name for name in survey.columns if _is_yes_no(survey[name])]
    if not items:
        raise DataError(f"the survey of {source.name} has no yes/no items to make segments of")
    read = pl.DataFrame(read_answers(survey, items), schema=items).cast(pl.Int64)
    return survey.drop(items).hstack(read), items


def _is_yes_no(column: pl.Series) -> bool:
    words = column.drop_nulls().unique()
    return words.dtype == pl.String and {w.casefold() for w in words} == {"yes", "no"}


def require_customers(customers: int) -> None:
    """Raise ``DataError`` if there are too few customers for a segmentation."""
    if customers < LEAST_CUSTOMERS:
        raise DataError(
            f"segments need at least {LEAST_CUSTOMERS} customers, so that each is large enough "
            f"to be tested; there are {number(customers)}"
        )


@takes_frames
def choose_variables(frame: pl.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """Choose the variables for clustering.

    Parameters
    ----------
    frame : polars.DataFrame
        The customer table.
    wanted : sequence of str
        The analyst's own choice; empty takes those of `BEHAVIOUR` that the table has, that vary,
        and that no more than half of the customers lack.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        If a wanted variable is not a column of the table.
    DataError
        If there are fewer than 50 customers (`LEAST_CUSTOMERS`), or fewer than two variables are
        left.

    Examples
    --------
    >>> columns = {"recency_days": [1, 5], "orders_per_year": [2, 3], "open_rate": [None, None]}
    >>> choose_variables(pl.concat([pl.DataFrame(columns)] * 25))
    ['recency_days', 'orders_per_year']
    """
    for name in wanted:
        require_choice("column of the customer table", name, frame.columns)
    chosen = list(wanted) or [
        name
        for name in BEHAVIOUR
        if name in frame.columns
        and frame[name].null_count() <= MOST_MISSING * frame.height
        and frame[name].drop_nulls().n_unique() > 1
    ]
    require_customers(frame.height)
    if len(chosen) < 2:
        raise DataError(
            f"segments need at least two variables that vary; found {', '.join(chosen) or 'none'} "
            f"among {', '.join(BEHAVIOUR)}"
        )
    return chosen


def link_source(
    source: Any, mapping: Any = None, *, preset: str | None = None
) -> Identities | None:
    """Link the identifiers of a source that belong to one customer.

    Its tables ``links`` (identifiers seen together) and ``customers`` are read as one. A device
    joins no customers, because families share devices: it is linked to a customer only if it was
    seen with that one only.

    Parameters
    ----------
    source : Source, dict, path or Audit
        What `segkit.load_source` gives, or tables of one's own: by name, or a folder of files named
        after them, or their audit. For anything else the result is None.
    mapping : Mapping, dict or path, optional
        As for `segkit.clean_data`; by default the columns are recognised by their names.
    preset : str, optional
        As for `segkit.clean_data`.

    Returns
    -------
    Identities or None
        None where the source has no such table with two kinds of identifiers or more.

    Examples
    --------
    >>> people = pl.DataFrame({"client_id": ["7", "9"], "email": ["ann@x.org", "Ann@x.org"]})
    >>> link_source({"customers": people}).customers.height
    1
    """
    from segkit.intake.audit import Audit
    from segkit.intake.proposal import settle_mapping
    from segkit.intake.readers import gather

    is_folder = isinstance(source, str | Path) and Path(source).is_dir()
    names_files = source is None and mapping is not None
    has_tables = hasattr(source, "tables") or isinstance(source, Map | Audit)
    if not (has_tables or is_folder or names_files):
        return None
    raw = gather(source, mapping, preset)
    wanted = ("customers", "links")
    tables = {name: frame for name, frame in raw.raw.items() if name in wanted}
    if not tables:
        return None
    used, _ = settle_mapping(tables, raw.given)
    return link_tables(tables, used)


def link_tables(tables: Map[str, pl.DataFrame], mapping: Mapping) -> Identities | None:
    """Link the identifiers that rows of ``customers`` and ``links`` state; see `link_source`."""
    from segkit.ids import ids_of
    from segkit.intake.identity import link_identifiers

    parts = []
    for table, frame in tables.items():
        named = mapping.tables[table].columns
        kinds = [kind for kind in (*IDENTIFIERS, "birth_date") if kind in named]
        if len(set(kinds) & set(IDENTIFIERS)) > 1:
            read = {kind: frame[named[kind]] for kind in kinds}
            ids = [kind for kind in kinds if kind in IDENTIFIERS]
            read |= {kind: ids_of(read[kind], f"{table}.{kind}") for kind in ids}
            parts.append(pl.DataFrame([cells.alias(kind) for kind, cells in read.items()]))
    if not parts:
        return None
    return link_identifiers(pl.concat(parts, how="diagonal_relaxed"), weak=("device_id",))


def find_products(taken: Intake) -> pl.DataFrame | None:
    """Return the product table, if it adds a category or brand that order lines lack.

    Parameters
    ----------
    taken : Intake
        As `segkit.clean_data` returns it.

    Returns
    -------
    polars.DataFrame or None
        None without a product table, without product ids in the order lines, or where these state
        each category and brand that the table holds.

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> lines = {"customer_id": ["a"], "order_date": ["2024-05-01"], "amount": [9.5], "sku": ["7"]}
    >>> goods = pl.DataFrame({"sku": ["7"], "category": ["Tea"]})
    >>> find_products(clean_data({"orders": pl.DataFrame(lines), "products": goods})).height
    1
    """
    if taken.orders is None or taken.products is None:
        return None
    return choose_products(taken.products, taken.orders.lazy())


def choose_products(products: pl.DataFrame, lines: pl.LazyFrame) -> pl.DataFrame | None:
    """Return product ids with the category and brand that some lines lack; None without any."""
    stated = lines.collect_schema().names()
    if "product_id" not in stated:
        return None
    listed = [name for name in ("category", "brand") if name in products.columns]
    gaps = lines.select(pl.col(name).null_count() for name in listed if name in stated).collect(
        engine="streaming"
    )
    more = [name for name in listed if name not in stated or gaps[name].item() > 0]
    return products.select("product_id", *more) if more else None


def find_attributes(taken: Intake, as_of: date | None = None) -> pl.DataFrame | None:
    """Return the customer records, with country, region and company that the orders state.

    Parameters
    ----------
    taken : Intake
        As `segkit.clean_data` returns it.
    as_of : datetime.date, optional
        The last day that is used.

    Returns
    -------
    polars.DataFrame or None
        As `segkit.features.derive_attributes` has them; None where nothing is known.
    """
    from segkit.features import derive_attributes

    if taken.orders is None:
        return taken.customers
    people = derive_attributes(taken.orders, taken.customers, as_of=as_of).frame
    return people if people.width > 1 else None


def judge_quality(audit: Audit, ledger: Ledger) -> tuple[str, str]:
    """Judge the data quality for a segmentation: good, attention or poor, with reasons.

    Poor: a question of the audit blocks, or less than `POOR_KEPT` of the order lines is kept.
    Attention: more than one in `WRONG` order lines is rejected for what it holds (not for a missing
    consent, or because it is no sale), or there are months without orders.

    Returns
    -------
    tuple of (str, str)
        The level and the reason.
    """
    share = ledger.kept_share("orders")
    gaps = int((audit.coverage["rows"] == 0).sum())
    reasons = sorted(ledger.reasons("orders").items(), key=lambda item: -item[1])
    read = next((step.rows_in for step in ledger.steps if step.table == "orders"), 0)
    wrong = sum(rows for name, rows in reasons if name not in BY_CHOICE) / max(read, 1)
    named = [
        f"{name.replace('_', ' ')} {percent(rows / read)}" for name, rows in reasons[:3] if rows
    ]
    text = f"{percent(share)} of order lines kept"
    if named:
        rest = len(reasons) - len(named)
        text += f"; rejected: {', '.join(named)}"
        text += f" and {counted(rest, 'rarer reason')}" if rest else ""
    if gaps:
        text += f"; {counted(gaps, 'month')} without orders"
    if audit.blocked or share < POOR_KEPT:
        return "poor", text
    return ("attention" if wrong > WRONG or gaps else "good"), text


@dataclass(frozen=True, slots=True, eq=False)
class CustomerSegments(Result):
    """Segments made from order lines, with the result of every step.

    Attributes
    ----------
    intake : Intake
        Clean tables and the ledger.
    table : CustomerTable
        One row per customer.
    segmentation : Segmentation
        Segment of each customer, and the model that assigns other customers.
    profile : Profile
        Profile of each segment.
    """

    intake: Intake
    table: CustomerTable
    segmentation: Segmentation
    profile: Profile

    @property
    def assignments(self) -> pl.DataFrame:
        """Each customer's segment: customer_id, segment, segment_name."""
        return self.segmentation.assignments

    def to_frame(self) -> pl.DataFrame:
        """Return one row per segment: size, revenue, and what marks it."""
        return self.profile.to_frame()

    @property
    def text(self) -> str:
        """The segments in words, and how many raw lines were rejected on the way."""
        from segkit.cluster.segments import CAVEAT

        apart = sum(self.intake.ledger.reasons().values())
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.table.notes)
        lines = counted(apart, "raw line")
        return (
            f"{self.profile.text} {CAVEAT} Made from order lines up to {self.table.as_of}; "
            f"{lines} rejected (.intake.ledger).{notes}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text)}</p>{table_html(self.to_frame().select(SHOWN))}"

    def plot(self) -> Figure:
        """Draw each segment's profile against all customers."""
        return self.profile.plot()


def segment(
    source: Any,
    *,
    mapping: Any = None,
    preset: str | None = None,
    as_of: date | None = None,
    variables: Sequence[str] = (),
    k: int | None = None,
    method: Method = "ward",
    calendar: str = "",
    seed: int = 0,
    customers_are: Buyers = "persons",
) -> CustomerSegments:
    """Segment customers from order lines in one call.

    Intake, linking, customer table, clustering and profile with their defaults, which are the
    notebooks' too: one file has the same segments in both. Customers with returns alone are in no
    segment, and are counted in the text. Each step stands in the result, and each can be taken
    alone for other choices.

    Parameters
    ----------
    source : frame, path, dict, Source or Intake
        Whatever `segkit.clean_data` takes, or what it gave.
    mapping : Mapping, path or None
        As for `segkit.clean_data`; ``segkit.audit_data(source).mapping`` is the proposal, to be
        changed.
    preset : str, optional
        As for `segkit.clean_data`.
    as_of : datetime.date, optional
        The last day that is used; by default that of the last order.
    variables : sequence of str
        Columns of the customer table to cluster on; see `choose_variables`.
    k : int, optional
        Number of segments; chosen if not given.
    method : {"ward", "kmeans"}
    calendar : str
        Seasons and sales for the shares by occasion ("uk", "us", "de", ...; "north" or "south" for
        seasons alone); empty proposes it from the data's country, as in the notebooks.
    seed : int
    customers_are : {"persons", "companies"}
        Whether each customer id is a customer, or a contact of the company that the orders or the
        customer records state (`segkit.features.group_companies`).

    Returns
    -------
    CustomerSegments

    Raises
    ------
    DataError, MappingError, SourceError, ParameterError
        As the steps raise them; DataError too for fewer than 50 customers (`LEAST_CUSTOMERS`).

    Examples
    --------
    >>> rows = [(f"c{i}", f"2024-{m:02}-{1 + i % 28:02}", 10.0 + i)
    ...         for i in range(60) for m in range(1, 13, 1 + 3 * (i % 2))]
    >>> lines = pl.DataFrame(rows, schema=["customer_id", "order_date", "amount"], orient="row")
    >>> found = segment(lines, k=2)
    >>> found.to_frame()["customers"].sum()
    60
    """
    from segkit.cluster.fit import cluster_customers
    from segkit.features import build_features, choose_calendar, group_companies
    from segkit.intake import Intake, clean_data
    from segkit.profile import profile_segments

    require_choice("kind of customers", customers_are, get_args(Buyers))
    taken = (
        source
        if isinstance(source, Intake)
        else clean_data(
            source, mapping, preset=preset, identities=link_source(source, mapping, preset=preset)
        )
    )
    if taken.orders is None:
        raise DataError(f"segments need orders; the source has {', '.join(taken.tables)}")
    currency = taken.ledger.currency
    if customers_are == "companies":
        taken, _ = group_companies(taken, as_of=as_of)
    people = find_attributes(taken, as_of)
    orders, market = taken.tables["orders"], choose_calendar(taken, calendar)
    options: dict[str, Any] = {"as_of": as_of, "calendar": market, "currency": currency}
    options["products"] = find_products(taken)
    table = build_features(orders, taken.events, windows=WINDOWS, **options)
    chosen = choose_variables(table.frame, variables)
    segmentation = cluster_customers(
        table.frame,
        features=chosen,
        k=k,
        method=method,
        seed=seed,
        definitions=dict(table.definitions.select("name", "description").iter_rows()),
        as_of=table.as_of,
    )
    profile = profile_segments(
        table.frame,
        segmentation.assignments,
        clustering_variables=chosen,
        orders=taken.orders,
        customers=people,
        as_of=table.as_of,
        seed=seed,
        currency=currency,
    )
    return CustomerSegments(taken, table, segmentation, profile)
