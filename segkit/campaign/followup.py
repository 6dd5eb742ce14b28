"""Outcomes of a campaign's assigned customers, from any source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from segkit.errors import DataError
from segkit.frames import takes_frames
from segkit.intake import clean_data
from segkit.lift import Lift, Outcomes, derive_outcomes, read_outcomes
from segkit.lift.effects import choose_metrics

GIVEN = {"visit": "visited", "conversion": "converted", "spend": "revenue"}
HOLDOUTS = ("holdout", "control", "none", "no e-mail", "no mail")
WORLDWIDE = {"fx", "products", "prices"}  # raw tables without data per customer
PLAN = ("planned_share",)  # columns that describe the arms, not the customers
BEFORE = ("pre_converted", "pre_orders", "pre_revenue", "pre_visits")


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Outcomes of a campaign, or the reason why there are none.

    Attributes
    ----------
    outcomes : Outcomes or None
    why : str
        Why there are none; empty if there are.
    holdout : str
        The arm without contact, the control; empty if there is none, or it is not known.
    covariates : tuple of str
        Numeric columns known before the assignment, which vary.
    offers : mapping of str to int
        Arm to the number of different offers that its customers got.
    """

    outcomes: Outcomes | None
    why: str
    holdout: str
    covariates: tuple[str, ...]
    offers: Mapping[str, int] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that were measured, the holdout last."""
        if self.outcomes is None:
            return ()
        names = self.outcomes.frame["arm"].unique().to_list()
        return tuple(sorted(names, key=lambda name: (name == self.holdout, name)))

    def beside(self, against: str) -> tuple[str, ...]:
        """Return the arms with other offers than the given arm; none if that arm is absent."""
        others = tuple(arm for arm in self.arms if arm not in (against, self.holdout))
        return others if against in self.arms and against != self.holdout else ()

    def compared(self, against: str) -> tuple[str, str]:
        """Return an arm and its comparison: the last beside ``against``, or else the holdout.

        Raises
        ------
        DataError
            If nothing was measured, or there are no two arms to compare.
        """
        tailored = self.beside(against)
        if tailored:
            return tailored[-1], against
        if not self.holdout or len(self.arms) < 2:
            arms = ", ".join(self.arms) or "none"
            why = self.why or f"expected a holdout and another arm, got {arms}"
            raise DataError(f"no two arms can be compared: {why}")
        return self.arms[0], self.holdout

    def leading(self, against: str, lift: Lift) -> str:
        """Return the arm to look into: the last beside ``against``, or else the one that did best.

        ``lift`` holds the effects of all arms over the holdout.
        """
        tailored = self.beside(against)
        return tailored[-1] if tailored else str(lift.best["arm"])

    def tailors(self, against: str) -> bool:
        """Return whether an arm besides ``against`` gives customers different offers."""
        return any(self.offers.get(arm, 1) > 1 for arm in self.beside(against))

    def placebo(self, arm: str, against: str) -> Outcomes | None:
        """Return the customers of segments whose two arms got one and the same offer.

        There the arms can differ by chance alone. Customers of either arm with another offer than
        most of their segment's arm (a tenth explores where offers are tied) are left out: who
        explores was drawn at random.
        """
        if self.outcomes is None or not {arm, against} <= set(self.arms):
            return None
        frame = self.outcomes.frame
        if not {"offer", "segment"} <= set(frame.columns):
            return None
        both = frame.filter(pl.col("arm").is_in([arm, against]))
        most = both.group_by("segment", "arm").agg(usual=pl.col("offer").mode().sort().first())
        same = most.group_by("segment").agg(pl.col("usual").n_unique() == 1, pl.len() == 2)
        alike = same.filter("usual", "len")["segment"]
        same_offer = both.join(most, on=["segment", "arm"], maintain_order="left").filter(
            pl.col("segment").is_in(alike.implode()) & (pl.col("offer") == pl.col("usual"))
        )
        if same_offer.is_empty():
            return None
        return replace(self.outcomes, frame=same_offer.drop("usual"))

    def plan(self, **shares: float) -> dict[str, float] | None:
        """Return every arm's planned share, if those named are among them; the rest is split."""
        others = [arm for arm in self.arms if arm not in shares]
        if not set(shares) <= set(self.arms):
            return None
        rest = 1 - sum(shares.values())
        return {**shares, **{arm: rest / len(others) for arm in others}}

    def margins(self, **margins: float) -> dict[str, float]:
        """Return the margins (figure to difference; zero is none) of the measured figures."""
        if self.outcomes is None:
            return {}
        measured = {metric.name for metric in choose_metrics(self.outcomes.frame.columns)}
        return {name: margin for name, margin in margins.items() if name in measured and margin}


@takes_frames
def follow_up(
    source: Any,
    assignments: pl.DataFrame | None,
    *,
    settings: Mapping[str, Any],
    clean: Any = None,
    window_days: float = 28,
    control: str = "",
) -> FollowUp:
    """Read or derive the outcomes of the assigned customers.

    For the simulated retailer the outcomes are simulated. A source with outcomes per customer
    (Hillstrom) is read directly. From any other source the clean orders and events are used; they
    contain the outcomes only if the data were exported after the campaign.

    Parameters
    ----------
    source : Source, path, None, or callable
        What the notebook's ``run.load()`` gives, or ``run.load`` itself, which is called only if
        the source is needed: not for a simulated retailer whose raw tables ``clean`` still holds.
    assignments : DataFrame or None
        customer_id, campaign_id, arm, offer, segment, assigned_at, covariates; segment_name is used
        instead of segment if it exists. None where there is no campaign.
    settings : mapping
        The run's parameters for the simulation.
    clean : Intake, optional
        Clean orders and events from before the campaign.
    window_days : float
        The attribution window.
    control : str
        The arm without contact; by default the arm with the offer "none", or with such a name.

    Returns
    -------
    FollowUp
    """
    if assignments is None:
        return FollowUp(None, "No campaign was assigned.", "", ())
    if "segment_name" in assignments.columns:
        named = pl.col("segment_name").fill_null(pl.col("segment"))
        assignments = assignments.with_columns(segment=named).drop("segment_name")
    name = getattr(source, "name", "")
    if callable(source):
        name = str(settings.get("source", ""))
        if name != "simulated" or clean is None or not (clean.raw or {}).keys() >= WORLDWIDE:
            source = source()
            name = getattr(source, "name", "")
    holdout = find_holdout(assignments, control)
    truth = getattr(source, "truth", None) or {}
    if "outcomes" in truth:
        given = read_outcomes(assignments, truth["outcomes"], names=GIVEN)
        return _measured(given, assignments, holdout)
    if clean is None or (clean.orders is None and clean.events is None):
        return FollowUp(None, "The source holds neither orders nor events.", "", ())
    orders, events = clean.orders, clean.events
    until: datetime | None = None
    if name == "simulated":
        simulated = clean if callable(source) else source
        answer = _respond(simulated, assignments, settings, window_days)
        orders, events = _joined(orders, answer.orders), _joined(events, answer.events)
        last: Any = assignments["assigned_at"].max()
        until = last + timedelta(days=window_days)
    campaigns = (
        assignments["campaign_id"].drop_nulls().unique().to_list()
        if "campaign_id" in assignments.columns
        else []
    )
    try:
        outcomes = derive_outcomes(
            assignments,
            orders,
            events,
            window_days=window_days,
            campaign_id=str(campaigns[0]) if len(campaigns) == 1 else None,
            holdout=holdout or None,
            data_until=until,
        )
    except DataError as error:
        return FollowUp(None, f"The campaign cannot be measured yet: {error}.", "", ())
    return _measured(outcomes, assignments, holdout)


def _measured(outcomes: Outcomes, assignments: pl.DataFrame, holdout: str) -> FollowUp:
    """Add the covariates that vary, and the number of offers of each arm."""
    frame = outcomes.frame
    numeric = assignments.select(
        pl.selectors.numeric() - pl.selectors.by_name(PLAN, require_all=False)
    )
    covariates = [
        name
        for name in (*numeric.columns, *(name for name in BEFORE if name in frame.columns))
        if frame[name].null_count() == 0 and frame[name].n_unique() > 1
    ]
    offers: dict[str, int] = {}
    if "offer" in assignments.columns:
        counts = assignments.group_by("arm").agg(pl.col("offer").n_unique()).sort("arm")
        offers = dict(counts.iter_rows())
    return FollowUp(outcomes, "", holdout, tuple(covariates), offers)


def find_holdout(assignments: pl.DataFrame, control: str = "") -> str:
    """Return the control: the arm named, else the arm without offer, else by its name.

    Examples
    --------
    >>> find_holdout(pl.DataFrame({"arm": ["a", "b"], "offer": ["sale", "none"]}))
    'b'
    """
    if control:
        return control
    if "offer" in assignments.columns:
        nothing = (pl.col("offer") == "none").all().alias("nothing")
        arms = assignments.group_by("arm").agg(nothing).filter("nothing")["arm"].sort()
        if len(arms) == 1:
            return str(arms[0])
    named = assignments["arm"].unique().sort()
    return next((str(arm) for arm in named if str(arm).lower() in HOLDOUTS), "")


def _respond(
    simulated: Any, assignments: pl.DataFrame, settings: Mapping[str, Any], window_days: float
) -> Any:
    """Simulate the customers' responses, and read them like any raw data.

    ``simulated`` is the simulated source, or the intake that has kept its raw tables.
    """
    from segkit.simulate.respond import respond
    from segkit.simulate.world import World

    planted = ("difficulty", "structure", "lift")
    given = {name: settings[name] for name in planted if name in settings}
    world = World(int(settings["customers"]), int(settings["seed"]), **given)
    weeks = int(-(-window_days // 7)) + 1  # the window starts at the assignment, not at the mail
    answer = respond(world, assignments, weeks=weeks)
    raw = simulated.raw if hasattr(simulated, "raw") else simulated.tables
    tables = {name: raw[name].lazy().collect() for name in sorted(WORLDWIDE & raw.keys())}
    tables |= {"orders": answer.orders, "events": answer.events}
    return clean_data(tables, simulated.mapping)


def _joined(before: pl.DataFrame | None, after: pl.DataFrame | None) -> pl.DataFrame | None:
    parts = [part for part in (before, after) if part is not None]
    return pl.concat(parts, how="diagonal_relaxed") if parts else None
