"""Customer segments of a shop in short: worth, customers slipping away, lists, possible tests."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl

from segkit.campaign.audience import Audience, SegmentContract, build_audience
from segkit.campaign.eligibility import Consent, Unrecorded
from segkit.campaign.metrics import measure_metric
from segkit.campaign.platforms import read_emails
from segkit.campaign.power import compute_sample_size
from segkit.campaign.prelude import contact_history
from segkit.campaign.segment_power import SegmentPower, compute_segment_power
from segkit.display import counted, money, number, percent
from segkit.errors import DataError
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.cohorts import RepeatRate
    from segkit.intake import Intake
    from segkit.rfm import Concentration

# RFM segment -> what its customers do, and the action that it suggests.
ACTIONS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("actions.toml").read_text(encoding="utf-8")
)
SLIPPING = ("Can't lose", "At risk", "Need attention", "About to sleep")
# In this order they are written to first: most is at stake, or the answer is likeliest.
URGENT = ("Can't lose", "At risk", "New", "Need attention", "Champions", "About to sleep")
HALVES = {"control": 0.5, "campaign": 0.5}
LIFTS = (0.1, 0.2, 0.3)
MOST_LIFT = 1.0  # a test that shows nothing below a doubling is of no use
MONTH = 30  # days
MOST_MONTHS = 12
LEAST_PAST = 50  # customers from whom a rate of orders is measured
LISTED = "yes"
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Outlook(Result):
    """Segments of a shop's customers, whom to contact, and which tests they allow.

    Attributes
    ----------
    segments : polars.DataFrame
        One row per RFM segment with customers: segment, description, action, slipping (Boolean),
        customers, customer_share, revenue, revenue_share, orders_per_customer, recency_days
        (median), listed (customers who may be contacted and have an address),
        smallest_lift_rate (that a test of half against half detects; null where none is).
    customers : polars.DataFrame
        One row per customer: customer_id, email, segment, last_order, orders, revenue, contact
        ("yes", or why not), action.
    months : polars.DataFrame
        One row per lift: lift_rate, months (of the shortest test that detects it; null where
        none of ``months_tried`` does), customers_needed (in that test, or in the longest one).
    months_tried : int
        Months of the longest test that the past can describe; 0 where it is too short.
    power : SegmentPower or None
        Power of a test of one month in each segment; None where the past is too short.
    concentration : Concentration or None
        Share of revenue that the best fifth of customers bring; None without positive revenue.
    repeat : RepeatRate
        Share of customers who buy again.
    audience : Audience
        The customers who may be contacted, with the others counted by reason.
    unscored : int
        Customers who only returned, and are in no segment.
    first_day, as_of : datetime.date
        The day of the first order, and the last day used.
    currency : str or None
        Of revenue.
    """

    segments: pl.DataFrame
    customers: pl.DataFrame
    months: pl.DataFrame
    months_tried: int
    power: SegmentPower | None
    concentration: Concentration | None
    repeat: RepeatRate
    audience: Audience
    unscored: int
    first_day: date
    as_of: date
    currency: str | None = None

    @property
    def slipping(self) -> pl.DataFrame:
        """The segments whose customers are slipping away."""
        return self.segments.filter("slipping")

    @property
    def urgent(self) -> pl.DataFrame:
        """The segments to write to first, in order of urgency.

        Those without customers on the list are left out, unless nobody is on the list.
        """
        order = {name: place for place, name in enumerate(URGENT)}
        place = pl.col("segment").replace_strict(order, default=None, return_dtype=pl.Int64)
        urgent = self.segments.filter(place.is_not_null()).sort(place)
        listed = urgent.filter(pl.col("listed") > 0)
        return listed if self.audience.frame.height else urgent

    @property
    def unrecorded(self) -> int:
        """Customers left out because their consent is not recorded."""
        counts = self.audience.counts.filter(pl.col("reason") == "consent_not_recorded")
        return int(counts["customers"].sum())

    @property
    def text(self) -> str:
        """The finding in words."""
        customers, revenue = self.customers.height, float(self.customers["revenue"].sum())
        apart = ""
        if self.unscored:
            apart = f"; {counted(self.unscored, 'more person', 'more people')} only returned"
        return (
            f"{counted(customers, 'customer')} spent {money(revenue, self.currency)} up to "
            f"{self.as_of}{apart}. {self.at_stake} {self.reachable} {self.detectable}"
        )

    @property
    def at_stake(self) -> str:
        """How many customers are slipping away, and what they spent, in words."""
        slipping, revenue = self.slipping, float(self.customers["revenue"].sum())
        if not slipping.height:
            return "Nobody is slipping away."
        customers, spent = int(slipping["customers"].sum()), float(slipping["revenue"].sum())
        share = f" ({percent(spent / revenue, places=0)} of revenue)" if revenue > 0 else ""
        return (
            f"{counted(customers, 'customer')} who spent {money(spent, self.currency)}{share} "
            f"{'is' if customers == 1 else 'are'} slipping away."
        )

    @property
    def has_addresses(self) -> bool:
        """Whether an e-mail address of any customer is known."""
        return bool(self.customers["email"].count())

    @property
    def reachable(self) -> str:
        """The number of customers who may be written to, in words."""
        listed = self.audience.frame.height
        if not self.has_addresses:
            return "No e-mail address is known."
        if listed or not self.unrecorded:
            lacking = self.audience.counts.filter(pl.col("reason") == "no_email")["customers"].sum()
            apart = f"; {number(lacking)} more have no e-mail address" * bool(lacking)
            return f"{counted(listed, 'customer')} may be written to{apart}."
        return "Who may be written to is not recorded."

    @property
    def detectable(self) -> str:
        """Which lifts a test with this number of customers can detect, in words."""
        if self.power is None:
            return "The orders do not reach back far enough to plan a test."
        smallest = self.power.table["smallest_lift_rate"][0]
        first = "A test of one month would often miss even a doubling of orders"
        if smallest is not None and smallest <= MOST_LIFT:
            first = (
                "A test of one month, half of the list against the other half, shows a lift of "
                f"orders of {percent(smallest, places=0)} or more (80% power)"
            )
        parts = [
            f"{percent(row['lift_rate'], places=0)} in {counted(row['months'], 'month')}"
            for row in self.months.filter(pl.col("months") > 1).iter_rows(named=True)
        ]
        rest = f"; a longer one shows {', '.join(parts)}" if parts else ""
        return f"{first}{rest}."


def build_outlook(
    taken: Intake, *, as_of: date | None = None, unrecorded: Unrecorded = "refused"
) -> Outlook:
    """Describe a shop's customers in segments, and what can be done with each.

    Segments are those of `segkit.rfm.score_rfm`. A test's power rests on how many customers of the
    past ordered within as many days as the test lasts; half of the list is the control.

    Parameters
    ----------
    taken : Intake
        Clean tables: orders, and customers with addresses and consent where there are any. If there
        are no addresses, customer ids that are e-mail addresses are used.
    as_of : datetime.date, optional
        The last day used; by default that of the last order.
    unrecorded : {"refused", "granted"}
        What is assumed where consent to marketing is not recorded.

    Returns
    -------
    Outlook

    Raises
    ------
    DataError
        If there are no orders.

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> rows = [(f"c{k}@shop.example", f"2024-{m:02}-{1 + k % 28:02}", 10.0 + k)
    ...         for k in range(60) for m in range(1, 13, 1 + k % 5)]
    >>> lines = pl.DataFrame(rows, schema=["customer_id", "order_date", "amount"], orient="row")
    >>> outlook = build_outlook(clean_data(lines))
    >>> outlook.segments["customers"].sum(), outlook.audience.frame.height, outlook.unrecorded
    (60, 0, 60)
    """
    from segkit.cohorts import estimate_repeat_rate
    from segkit.rfm import measure_concentration, score_rfm

    orders = taken.orders
    if orders is None:
        raise DataError(f"an outlook needs orders; the source has {', '.join(taken.tables)}")
    currency = taken.ledger.currency or _only_currency(orders)
    rfm = score_rfm(orders, as_of=as_of, currency=currency)
    assert rfm.as_of is not None  # noqa: S101 - given with order lines
    day = rfm.as_of
    scored = rfm.frame.drop_nulls("segment")
    contacts = _contacts(taken, scored)
    audience = _audience(taken, scored, contacts, day, unrecorded)
    customers = _customers(scored, contacts, audience, day)
    sizes = dict(customers.filter(_listed()).group_by("segment").len().iter_rows())
    if not sizes:  # what a test could show if all customers may be contacted
        sizes = dict(customers.group_by("segment").len().iter_rows())
    power = _segment_power(orders, day, sizes)
    months, tried = _months(orders, day, sum(sizes.values()))
    best = measure_concentration(scored) if (scored["monetary"] > 0).any() else None
    return Outlook(
        segments=_segments(customers, scored, rfm.rules.names, power),
        customers=customers,
        months=months,
        months_tried=tried,
        power=power,
        concentration=best,
        repeat=estimate_repeat_rate(orders, as_of=day),
        audience=audience,
        unscored=rfm.unscored,
        first_day=_first_day(orders),
        as_of=day,
        currency=currency,
    )


def _listed_as(what: str) -> dict[str, str]:
    """Return what the table of actions says of each segment: who they are, or the action."""
    return {name: one[what] for name, one in ACTIONS.items()}


def _only_currency(orders: pl.DataFrame) -> str | None:
    """Return the currency that every line states."""
    stated = orders["currency"].unique().to_list() if "currency" in orders.columns else []
    return stated[0] if len(stated) == 1 else None


def _first_day(orders: pl.DataFrame) -> date:
    return cast("date", orders.select(pl.col("order_day").min().cast(pl.Date)).item())


def _listed() -> pl.Expr:
    return pl.col("contact") == LISTED


def _contacts(taken: Intake, scored: pl.DataFrame) -> pl.DataFrame:
    """Return each buyer's address and consent, as far as they are recorded."""
    records = taken.customers
    everybody = scored.select("customer_id")
    if records is not None:
        wanted = ("customer_id", "email", "marketing_consent", "email_consent")
        have = records.select(name for name in wanted if name in records.columns)
        everybody = everybody.join(have, on="customer_id", how="left", maintain_order="left")
    own = read_emails(everybody["customer_id"])
    if "email" in everybody.columns:
        own = read_emails(everybody["email"]).fill_null(own)
    return everybody.with_columns(own.alias("email"))


def _audience(
    taken: Intake, scored: pl.DataFrame, contacts: pl.DataFrame, day: date, unrecorded: Unrecorded
) -> Audience:
    definitions = _listed_as("who")
    contract = SegmentContract("start", day.isoformat(), "", "", "rfm", definitions)
    assigned = scored.select("customer_id", "segment", offer="segment")
    return build_audience(
        assigned, contacts, contract=contract, columns=("email",), unrecorded=unrecorded,
        consent="marketing_consent" if "marketing_consent" in contacts.columns else None,
        optouts=contact_history(taken.events)[1], min_cell=1, mapping=taken.mapping,
    )  # fmt: skip


def _customers(
    scored: pl.DataFrame, contacts: pl.DataFrame, audience: Audience, day: date
) -> pl.DataFrame:
    """Return one row per customer, the best first within each segment."""
    purpose = "marketing_consent" if "marketing_consent" in contacts.columns else None
    agreed = Consent.of(contacts.columns, consent=purpose, channel="email", unrecorded="refused")
    listed = pl.col("customer_id").is_in(audience.frame["customer_id"].implode())
    contact = (
        pl.when(listed)
        .then(pl.lit(LISTED))
        .when(pl.col("email").is_null())
        .then(pl.lit("no address"))
        .when(agreed.silent())
        .then(pl.lit("consent not recorded"))
        .otherwise(pl.lit("no"))
    )
    return (
        scored.join(contacts, on="customer_id", how="left")
        .select(
            "customer_id",
            "email",
            "segment",
            last_order=pl.lit(day) - pl.duration(days=pl.col("recency_days")),
            orders="frequency",
            revenue="monetary",
            contact=contact,
            action=pl.col("segment").replace_strict(_listed_as("action")),
        )
        .sort("revenue", "customer_id", descending=[True, False])
    )


def _segments(
    customers: pl.DataFrame,
    scored: pl.DataFrame,
    names: tuple[str, ...],
    power: SegmentPower | None,
) -> pl.DataFrame:
    """Return one row per segment with customers, in the table's order."""
    revenue = float(customers["revenue"].sum())
    recency = scored.group_by("segment").agg(pl.col("recency_days").median())
    smallest = pl.DataFrame(schema={"segment": pl.String, "smallest_lift_rate": pl.Float64})
    if power is not None:
        smallest = power.table.select(smallest.columns)
    place = {name: at for at, name in enumerate(names)}
    return (
        customers.group_by("segment")
        .agg(
            pl.len().alias("customers"),
            pl.col("revenue").sum(),
            pl.col("orders").mean().alias("orders_per_customer"),
            _listed().sum().alias("listed"),
        )
        .join(recency, on="segment")
        .join(smallest, on="segment", how="left")
        .sort(pl.col("segment").replace_strict(place))
        .select(
            "segment",
            pl.col("segment").replace_strict(_listed_as("who")).alias("description"),
            pl.col("segment").replace_strict(_listed_as("action")).alias("action"),
            pl.col("segment").is_in(SLIPPING).alias("slipping"),
            "customers",
            (pl.col("customers") / customers.height).alias("customer_share"),
            "revenue",
            (pl.col("revenue") / revenue if revenue > 0 else pl.lit(None, pl.Float64)).alias(
                "revenue_share"
            ),
            "orders_per_customer",
            "recency_days",
            "listed",
            "smallest_lift_rate",
        )
    )


def _past(orders: pl.DataFrame, day: date, window_days: int) -> pl.DataFrame | None:
    """Return who had bought before the last days of the data, and who ordered within them.

    None where the data do not begin as long before, or too few customers had bought by then.
    """
    from segkit.lift import derive_outcomes
    from segkit.rfm import score_rfm

    start = day - timedelta(days=window_days)
    before = orders.filter(pl.col("order_day") <= (start - _EPOCH).days)
    if (start - _first_day(orders)).days < window_days or not before.height:
        return None
    scored = score_rfm(before, as_of=start).frame.drop_nulls("segment")
    if scored.height < LEAST_PAST:
        return None
    moment = datetime.combine(start + timedelta(days=1), time.min, tzinfo=UTC)
    assigned = scored.select("customer_id", "segment", arm=pl.lit("past"), assigned_at=moment)
    end = moment + timedelta(days=window_days)
    return derive_outcomes(assigned, orders, window_days=window_days, data_until=end).frame


def _segment_power(orders: pl.DataFrame, day: date, sizes: dict[str, int]) -> SegmentPower | None:
    past = _past(orders, day, MONTH)
    if past is None or past["converted"].n_unique() < 2:
        return None
    return compute_segment_power(
        past, "converted", shares=HALVES, relative_effect=LIFTS[1], customers=sizes,
        label="the share of customers who order within a month",
    )  # fmt: skip


def _months(orders: pl.DataFrame, day: date, customers: int) -> tuple[pl.DataFrame, int]:
    """Find the shortest test that detects each lift: a longer one sees more customers order."""
    shortest: dict[float, int] = {}
    needed: dict[float, int | None] = dict.fromkeys(LIFTS)
    tried = 0
    for months in range(1, MOST_MONTHS + 1):
        past = _past(orders, day, MONTH * months)
        if past is None or len(shortest) == len(LIFTS):
            break
        tried = months
        if past["converted"].n_unique() < 2:
            continue
        metric = measure_metric(past, "converted")
        for lift in LIFTS:
            if lift in shortest:
                continue
            try:
                total = compute_sample_size(metric, relative_effect=lift, shares=HALVES).total
            except DataError:  # beyond 100%
                continue
            needed[lift] = total
            if total <= customers:
                shortest[lift] = months
    rows = [(lift, shortest.get(lift), needed[lift]) for lift in LIFTS]
    schema = {"lift_rate": pl.Float64, "months": pl.Int64, "customers_needed": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row"), tried
