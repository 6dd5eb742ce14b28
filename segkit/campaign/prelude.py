"""Data to plan a campaign with: customers, segments, past window, an earlier test of offers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.audience import Audience, SegmentContract, build_audience
from segkit.display import counted, money, number, percent
from segkit.errors import DataError, RuleError, SourceError, require_columns
from segkit.features import build_features
from segkit.frames import takes_frames
from segkit.intake import Intake
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.lift.outcomes import derive_outcomes
from segkit.result import Result
from segkit.rules import ContactPolicy, RuleSet
from segkit.schema import fields

if TYPE_CHECKING:
    from segkit.cluster.scorers import SegmentScorer
    from segkit.datasets import Source
    from segkit.features import Calendar

WINDOW_DAYS = 28
EPOCH = date(1970, 1, 1)
CONSENT = "marketing_consent"
# Columns for the balance table: of a customer table, and of a campaign that is given.
COVARIATES = ("recency_days", "frequency", "monetary", "open_rate", "region")
GIVEN_COVARIATES = ("recency", "history", "mens", "womens", "newbie", "zip_code", "channel")
BEFORE = ("pre_revenue", "pre_orders")  # measured before an earlier campaign
# Hillstrom's arms are offers, except for the control.
_NOTHING = ("no e-mail", "no email", "holdout", "control", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Prelude(Result):
    """Data for planning a campaign.

    Attributes
    ----------
    customers : polars.DataFrame
        One row per customer: customer_id, segment, segment_name (null without a segment), their
        attributes, email and consents if the source has them.
    past : polars.DataFrame or None
        The last ``window_days`` before the campaign, measured like a campaign: customer_id,
        segment, segment_name, converted, revenue, and pre_revenue, pre_orders before it.
    pilot : polars.DataFrame or None
        An earlier test with offers given at random: customer_id, segment (as of that test),
        segment_name, arm, offer, converted, revenue, profit (margin less the contact's cost),
        expected_profit (each conversion valued at its segment's mean margin).
    contacts, optouts : polars.DataFrame or None
        customer_id, event_time.
    cost, margin : float
        Of one contact; share of revenue that is profit.
    as_of : date or None
        Last day of the data used.
    first_day : date or None
        Day on which the campaign can begin: the one after the last order or event, unless an
        earlier ``as_of`` excludes later orders.
    window_days : int
    consent : str or None
        The consent's column, None where the source records none.
    covariates : tuple of str
        Columns of ``customers`` for the balance table.
    notes : tuple of str
    currency : str or None
    mapping : Mapping or None
        The data's, by which ids of later lists are written.
    """

    customers: pl.DataFrame
    past: pl.DataFrame | None
    pilot: pl.DataFrame | None
    contacts: pl.DataFrame | None
    optouts: pl.DataFrame | None
    cost: float
    margin: float
    as_of: date | None
    first_day: date | None
    window_days: int
    consent: str | None
    covariates: tuple[str, ...]
    notes: tuple[str, ...]
    currency: str | None = None
    mapping: ColumnMapping | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Customers of each segment."""
        return self.sizes_of(self.customers.get_column("customer_id"))

    @takes_frames
    def sizes_of(self, ids: pl.Series) -> dict[str, int]:
        """Return how many of the given customers are in each segment."""
        customers = self.customers.filter(pl.col("customer_id").is_in(ids.implode()))
        sizes = customers.drop_nulls("segment").group_by("segment").len().sort("segment")
        return {str(segment): int(n) for segment, n in sizes.iter_rows()}

    @property
    def arms(self) -> dict[str, float]:
        """Share of each arm if the campaign has taken place, the arm without an offer first."""
        if self.pilot is None or self.as_of is not None:
            return {}
        offered = (pl.col("offer") != NO_OFFER).first().alias("offered")
        arms = self.pilot.group_by("arm").agg(offered, pl.len()).sort("offered", "arm")
        return {str(arm): n / self.pilot.height for arm, _, n in arms.iter_rows()}

    @property
    def offers_tried(self) -> list[str]:
        """Offers of the earlier test, none without one."""
        return [] if self.pilot is None else self.pilot["offer"].unique().to_list()

    @property
    def measured(self) -> tuple[str, ...]:
        """Columns of ``past`` measured before its window, which can serve as covariates."""
        columns = () if self.past is None else self.past.columns
        return BEFORE if set(BEFORE) <= set(columns) else ()

    @property
    def day_before_pilot(self) -> date | None:
        """The last day of data that segments of the earlier test may use."""
        if self.pilot is None or "assigned_at" not in self.pilot.columns:
            return None
        first: datetime = self.pilot.get_column("assigned_at").min()  # type: ignore[assignment]
        return first.date() - timedelta(days=1)

    @property
    def tested(self) -> pl.DataFrame | None:
        """The earlier test with the customers' covariates."""
        if self.pilot is None:
            return None
        more = [c for c in self.covariates if c not in self.pilot.columns]
        about = self.customers.select("customer_id", *more)
        return self.pilot.join(about, on="customer_id", how="left")

    def to_frame(self) -> pl.DataFrame:
        """Return customers, and customers of the earlier test, by segment."""
        table = self.customers.group_by("segment", "segment_name").agg(customers=pl.len())
        if self.pilot is not None:
            tested = self.pilot.group_by("segment").agg(in_pilot=pl.len())
            table = table.join(tested, on="segment", how="left", nulls_equal=True)
        return table.sort("segment", nulls_last=True)

    @property
    def text(self) -> str:
        """Finding: which data there are to plan with."""
        segmented = self.customers.drop_nulls("segment")
        customers, assigned = self.customers.height, number(segmented.height)
        groups = segmented.get_column("segment").n_unique()
        test = "No earlier test with offers at random tells which offer works."
        if self.pilot is not None:
            offers = self.pilot.get_column("offer").unique().to_list()
            none = ", or no offer," if NO_OFFER in offers else ""
            count = len(offers) - (NO_OFFER in offers)
            test = (
                f"An earlier test gave one of {counted(count, 'offer')}{none} at random to "
                f"{counted(self.pilot.height, 'customer')}."
            )
        terms = (
            f"A contact costs {money(self.cost, self.currency)}; "
            f"{percent(self.margin, places=0)} of revenue is margin."
        )
        size = (
            f"{counted(customers, 'customer')}, {assigned} of them in {counted(groups, 'segment')}."
        )
        return " ".join([size, test, terms, *self.notes])


@takes_frames
def collect_campaign_data(
    taken: Intake,
    table: pl.DataFrame,
    segments: pl.DataFrame,
    model: SegmentScorer,
    *,
    as_of: date,
    window_days: int = WINDOW_DAYS,
    calendar: Calendar | str = "north",
    cost: float = 0.05,
    margin: float = 0.45,
    traits: pl.DataFrame | None = None,
    currency: str | None = None,
) -> Prelude:
    """Collect what is known before a campaign from clean tables, segments and their model.

    Segments of the earlier test's customers, and of the past window's, are computed by the model
    from data up to the day before: segments that use the outcomes would make every offer look
    better.

    Parameters
    ----------
    taken : Intake
        Clean tables.
    table : DataFrame
        The customer table as of ``as_of``.
    segments : DataFrame
        customer_id, segment, segment_name.
    model : SegmentScorer
        The segments' model (`segkit.load_model`).
    as_of : date
    window_days : int
        Length of the campaign's window, of the pilot's, and of the past one.
    calendar : str
        That of the customer table.
    cost, margin : float
        Used if the source's campaigns do not contain them.
    traits : DataFrame, optional
        customer_id and columns that the model takes beside the customer table's, such as attitudes.
        They are assumed to be the same on earlier days; the notes say so.
    currency : str, optional
        Of cost and revenue, for texts.

    Returns
    -------
    Prelude
    """
    customers, consent = _people(taken, table, segments)
    drawn, notes = _pilot(taken)
    if traits is not None and set(traits.columns) & set(model.features):
        notes.append(
            "The segments rest on attitudes too: only respondents have one, and their answers are "
            "taken to hold for the days before the earlier test."
        )
    else:
        traits = None
    terms = _terms(taken.campaigns, None if drawn is None else drawn["campaign_id"][0])
    cost, margin = terms.get("cost_per_contact", cost), terms.get("margin", margin)
    until = datetime.combine(as_of + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    place = partial(_placed, taken, model, calendar=calendar, traits=traits)
    observe = partial(
        derive_outcomes, orders=taken.orders, window_days=window_days, data_until=until
    )
    pilot = None
    if drawn is not None:
        day = drawn.get_column("assigned_at").min().date()  # type: ignore[union-attr]
        placed = place(day - timedelta(days=1))
        assigned = drawn.join(placed, on="customer_id", how="inner", maintain_order="left")
        lost = drawn.height - assigned.height
        if lost:
            notes.append(
                f"Left out: {counted(lost, 'customer')} of the earlier test, in no segment the day "
                "before it."
            )
        outcomes = observe(assigned).frame
        cut = assigned.height - outcomes.height
        if cut:
            notes.append(f"{number(cut)} have no whole window of answers and are left out.")
        if outcomes.height:
            pilot = add_profit(outcomes, cost, margin)
    start = until - timedelta(days=window_days)
    placed = place(start.date() - timedelta(days=1))
    past = observe(placed.with_columns(arm=pl.lit("past"), assigned_at=pl.lit(start))).frame
    contacts, optouts = contact_history(taken.events)
    return Prelude(
        customers=customers,
        past=past,
        pilot=pilot,
        contacts=contacts,
        optouts=optouts,
        cost=cost,
        margin=margin,
        as_of=as_of,
        first_day=_first_day(taken, as_of),
        window_days=window_days,
        consent=consent,
        covariates=tuple(name for name in COVARIATES if name in customers.columns),
        notes=tuple(notes),
        currency=currency,
        mapping=taken.mapping,
    )


def _first_day(taken: Intake, as_of: date) -> date:
    """Return the day after the last day with data."""
    last = [as_of]
    for frame, column in ((taken.orders, "order_day"), (taken.events, "event_day")):
        if frame is not None and frame.height:
            last.append(EPOCH + timedelta(days=int(frame[column].max())))  # type: ignore[arg-type]
    later_orders_are_left_out = len(last) > 1 and last[1] > as_of
    return (as_of if later_orders_are_left_out else max(last)) + timedelta(days=1)


def read_given_campaign(
    source: Source,
    rules: Sequence[str],
    *,
    cost: float = 0.05,
    margin: float = 0.45,
    currency: str | None = None,
) -> Prelude:
    """Read a source that is a campaign already, with outcomes and no purchases by date.

    Parameters
    ----------
    source : Source
        Its tables customers and assignments, and ``truth["outcomes"]`` (visit, conversion, spend).
    rules : sequence of str
        "name: condition" over the customers' columns, which were known before the campaign; they
        must give every customer exactly one segment.
    cost, margin : float
        Of one contact; share of revenue that is profit.
    currency : str, optional
        Of cost and revenue, for texts.

    Returns
    -------
    Prelude
        ``pilot`` is the whole campaign; ``past`` what the customers without an offer did.

    Raises
    ------
    DataError
        If the source holds no outcomes.
    RuleError
        If a customer meets no rule, or several.
    """
    outcomes = (source.truth or {}).get("outcomes")
    if outcomes is None or "assignments" not in source.tables:
        raise DataError(f"{source.name} holds no campaign with outcomes")
    people = source.tables["customers"]
    table = RuleSet.parse("\n".join(rules))
    placed = table.apply(people, column="segment_name")
    lost = placed.get_column("segment_name").null_count()
    if lost:
        raise RuleError(
            f"{counted(lost, 'customer meets', 'customers meet')} none of the rules "
            f"{', '.join(table.names)}"
        )
    names = {name: f"H{k}" for k, name in enumerate(table.names, start=1)}
    placed = placed.with_columns(
        segment=pl.col("segment_name").replace_strict(names, return_dtype=pl.String)
    )
    drawn = source.tables["assignments"].rename({"segment": "arm"})
    nothing = pl.col("arm").str.to_lowercase().is_in(_NOTHING)
    test = (
        drawn.with_columns(offer=pl.when(nothing).then(pl.lit(NO_OFFER)).otherwise("arm"))
        .join(placed.select("customer_id", "segment", "segment_name"), on="customer_id")
        .join(
            outcomes.rename({"conversion": "converted", "spend": "revenue", "visit": "visited"}),
            on="customer_id",
        )
    )
    pilot = add_profit(test, cost, margin)
    return Prelude(
        customers=placed,
        past=pilot.filter(pl.col("offer") == NO_OFFER),
        pilot=pilot,
        contacts=None,
        optouts=None,
        cost=cost,
        margin=margin,
        as_of=None,
        first_day=None,
        window_days=14,
        consent=None,
        covariates=tuple(name for name in GIVEN_COVARIATES if name in people.columns),
        notes=(
            "The campaign has taken place: its arms are read, not assigned again.",
            "Segments are made from what was known before the mail.",
        ),
        currency=currency,
    )


def build_run_audience(
    folder: Path | str, *, policy: ContactPolicy | Path | str | None = None, **options: Any
) -> Audience:
    """Build the audience lists of a finished run.

    Parameters
    ----------
    folder : path
        The run's folder, in which notebooks 01, 05 and 09 have run.
    policy : ContactPolicy or path, optional
        Contact policy, or its TOML file. Its caps count the e-mails of the run's events.
    **options
        kind, channel, columns, platform, region, min_cell, purpose, at, erased of
        `segkit.campaign.build_audience`.
        Consent that is not recorded is taken as the mapping's ``consent_default`` says, where the
        source has no column for it or the mapping sets it; else as refused.

    Raises
    ------
    SourceError
        If the run holds no assignments, or no customers with addresses.
    """
    place = Path(folder)
    design, clean = place / "09_campaign_design" / "data", place / "01_data_audit" / "data"
    model = place / "05_segments" / "data" / "segment_model.json"
    for path in (design / "assignments.parquet", clean / "clean", model):
        if not path.exists():
            raise SourceError(
                f"{place.name} holds no {path.name}: run notebook 09 first (segkit run 09)"
            )
    taken = Intake.open(clean / "clean")
    if taken.customers is None or "email" not in taken.customers.columns:
        raise SourceError(f"{place.name} holds no customers with e-mail addresses")
    drawn = pl.read_parquet(design / "assignments.parquet")
    offers = json.loads((design / "offer_policy.json").read_text(encoding="utf-8"))["policy"]
    contract = SegmentContract.of_model(
        str(drawn.get_column("campaign_id")[0]),
        json.loads(model.read_text(encoding="utf-8")),
        offers=offers,
    )
    consent = CONSENT if CONSENT in taken.customers.columns else None
    unrecorded: Any = None
    if policy is None:
        assumed = consent is None or taken.mapping.is_set("customers", "consent_default")
        default = taken.mapping.option("customers", "consent_default")
        unrecorded = default if assumed else "refused"
    elif not isinstance(policy, ContactPolicy):
        policy = ContactPolicy.load(policy)
    contacts, optouts = contact_history(taken.events)
    return build_audience(
        drawn,
        taken.customers,
        contract=contract,
        optouts=optouts,
        consent=consent,
        unrecorded=unrecorded,
        policy=policy,
        contacts=contacts,
        mapping=taken.mapping,
        **options,
    )


def _people(
    taken: Intake, table: pl.DataFrame, segments: pl.DataFrame
) -> tuple[pl.DataFrame, str | None]:
    """Return every customer with its segment, and the consent's column."""
    own = segments.select("customer_id", "segment", "segment_name")
    people = table.join(own, on="customer_id", how="left", maintain_order="left")
    records = taken.customers
    if records is None:
        return people, None
    consents = [name for name in fields("customers") if name.endswith("_consent")]
    wanted = ["email", "region", "preferred_channel", *consents]
    more = [c for c in wanted if c in records.columns and c not in people.columns]
    about = records.select("customer_id", *more)
    # Customers without orders are kept, without a segment.
    people = people.join(
        about, on="customer_id", how="full", coalesce=True, maintain_order="left_right"
    )
    return people, CONSENT if CONSENT in people.columns else None


def _pilot(taken: Intake) -> tuple[pl.DataFrame | None, list[str]]:
    """Return the latest test in which several offers were given, if there is one."""
    drawn = taken.assignments
    if drawn is None or not {"offer", "assigned_at", "campaign_id"} <= set(drawn.columns):
        return None, []
    tests = (
        drawn.group_by("campaign_id")
        .agg(pl.col("offer").n_unique(), pl.col("assigned_at").min())
        .filter(pl.col("offer") > 1, pl.col("assigned_at").is_not_null())
        .sort("assigned_at")
    )
    if not tests.height:
        return None, []
    assigned = drawn.filter(campaign_id=tests.get_column("campaign_id")[-1])
    repeated = assigned.height - assigned.get_column("customer_id").n_unique()
    notes = []
    if repeated:
        assigned = assigned.filter(~pl.col("customer_id").is_duplicated())
        notes.append(f"Left out: {counted(repeated, 'assignment')} of persons assigned twice.")
    columns = ["customer_id", "campaign_id", "arm", "offer", "assigned_at"]
    return assigned.select(columns).drop_nulls(["offer", "assigned_at"]), notes


def _terms(campaigns: pl.DataFrame | None, campaign: str | None) -> dict[str, float]:
    if campaigns is None or campaign is None:
        return {}
    names = [c for c in ("cost_per_contact", "margin") if c in campaigns.columns]
    rows = campaigns.filter(campaign_id=campaign).select(names).to_dicts()
    return {name: float(value) for name, value in (*rows, {})[0].items() if value is not None}


def _placed(
    taken: Intake,
    model: SegmentScorer,
    day: date,
    *,
    calendar: Calendar | str,
    traits: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return the segments that the model gives from data up to the end of a day."""
    if taken.orders is None:
        raise DataError("segments need orders, and the source has none")
    tails = [name.rpartition("_")[2] for name in model.features]
    windows = sorted({int(t[:-1]) for t in tails if t.endswith("d") and t[:-1].isdigit()})
    table = build_features(
        taken.orders, taken.events, as_of=day, windows=tuple(windows), calendar=calendar
    ).frame
    if traits is not None:
        more = [name for name in traits.columns if name in model.features]
        table = table.join(traits.select("customer_id", *more).drop_nulls(), on="customer_id")
    require_columns(table.columns, model.columns, f"the customer table as of {day}")
    scored = model.score(table)
    return scored.select("customer_id", "segment", "segment_name").drop_nulls("segment")


@takes_frames
def add_profit(frame: pl.DataFrame, cost: float, margin: float) -> pl.DataFrame:
    """Add profit, and expected profit: conversions at their segment's mean margin, less cost.

    Parameters
    ----------
    frame : DataFrame
        segment, offer, converted, revenue; one row per customer.
    cost, margin : float
        Of one contact; share of revenue that is profit.

    Examples
    --------
    >>> sold = pl.DataFrame({"segment": "S", "offer": ["none", "mail"], "converted": [0, 1],
    ...     "revenue": [0.0, 20.0]})
    >>> add_profit(sold, 0.5, 0.5)["expected_profit"].to_list()
    [0.0, 9.5]
    """
    spent = pl.when(pl.col("offer") == NO_OFFER).then(0.0).otherwise(cost)
    bought, revenue = pl.col("converted").cast(pl.Float64), pl.col("revenue")
    # Shrinkage: ten conversions at the overall mean are added to the segment's own.
    prior = 10 * (revenue.sum() / bought.sum())
    own = (revenue.sum() + prior).over("segment") / (bought.sum() + 10).over("segment")
    return frame.with_columns(
        profit=revenue * margin - spent,
        expected_profit=(bought * own.fill_nan(0.0) * margin - spent).fill_nan(0.0),
    )


def contact_history(events: pl.DataFrame | None) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Return mails sent, and unsubscriptions with complaints; None without events."""
    if events is None:
        return None, None
    wanted = events.select("customer_id", "event_time", "event_type")
    ended = wanted.filter(pl.col("event_type").is_in(["unsubscribe", "complaint"]))
    sent = wanted.filter(pl.col("event_type") == "email_sent")
    return sent.drop("event_type"), ended.drop("event_type")
