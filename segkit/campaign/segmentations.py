"""Tests of segmentations against each other: assignment, and profit of each one's policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial

import numpy as np
import polars as pl

from segkit.campaign.assign import Method, assign_arms
from segkit.campaign.assignment import NO_OFFER, Assignment, count_cells
from segkit.campaign.eligibility import Eligibility, check_customers
from segkit.campaign.pilot import make_trial
from segkit.display import counted, money, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.intake import ProfileArchive
from segkit.lift.requirements import finite_values
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words
from segkit.stats.policy import Trial, honest_scores, learn_best, rounds, split_folds, value_of
from segkit.stats.two_part import compare_outcomes


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationTest(Result):
    """Profit of two segmentations' tailored campaigns, and their difference.

    Attributes
    ----------
    names : tuple of str
        The two segmentations.
    values : polars.DataFrame
        segmentation, customers (on whom it is valued), value per customer with low and high.
    difference, low, high : float
        First less second, per customer of all.
    differ_share : float
        Share of the customers to whom the two would give different offers: the others give no
        information on the difference.
    outcome : str
    method : str
        "arms": each segmentation was an arm; "pilot": both are valued on the same randomised
        pilot, each learnt and valued on different customers.
    level : float
    currency : str or None
        Of the outcome, where that is money.
    all_low, all_high : float
        The same difference from all customers, whether or not the offers differ; NaN where it was
        not read from arms.
    all_difference : float
        Its value.
    """

    names: tuple[str, str]
    values: pl.DataFrame
    difference: float
    low: float
    high: float
    differ_share: float
    outcome: str
    method: str
    level: float
    currency: str | None = None
    all_difference: float = math.nan
    all_low: float = math.nan
    all_high: float = math.nan

    @property
    def variance_gain(self) -> float:
        """Factor in customers that the analysis of all would need for an interval as narrow.

        The squared ratio of the widths of the two intervals; NaN where one of them is missing.
        """
        width = self.high - self.low
        return ((self.all_high - self.all_low) / width) ** 2 if width > 0 else math.nan

    @property
    def text(self) -> str:
        """The finding in words."""
        one, two = self.names
        interval = (
            "too few buyers for an interval"
            if math.isnan(self.low)
            else ci_words(self.low, self.high, self.level, money)
        )
        size = (
            f"{money(self.difference, self.currency)} of {self.outcome.replace('_', ' ')} "
            f"per customer ({interval})"
        )
        if self.low > 0 or self.high < 0:
            more = "more" if self.low > 0 else "less"
            finding = f"The campaign tailored by {one} earns {more} than that by {two}: {size}."
        else:
            finding = f"Neither {one} nor {two} is shown to earn more; they differ by {size}."
        how = {
            "arms": "Each was an arm of a randomised test.",
            "pilot": "Both are read from one pilot, before either was tried; the offers were "
            "learnt and valued on different customers, so that what a small pilot learns by "
            "chance counts against it.",
        }[self.method]
        return (
            f"{finding} {how} Where they were compared they gave different offers to "
            f"{percent(self.differ_share)} of the customers; only these can tell them apart."
            f"{self._overall_words()}"
        )

    def _overall_words(self) -> str:
        if math.isnan(self.variance_gain):
            return ""
        return (
            f" Read from all customers the difference is "
            f"{money(self.all_difference, self.currency)} "
            f"({ci_words(self.all_low, self.all_high, self.level)}): such a reading needs "
            f"{number(self.variance_gain)} times as many customers for the same precision."
        )

    def plot(self) -> Figure:
        """Draw the value of each."""
        from segkit.plot import intervals

        return intervals(
            self.values,
            "segmentation",
            "value",
            reference=None,
            title="What each segmentation's campaign earns",
            x_label="Segmentation",
            y_label=f"{self.outcome.replace('_', ' ')} per customer",
        )


@takes_frames
def assign_segmentations(
    customers: pl.DataFrame,
    *,
    campaign_id: str,
    segmentations: Mapping[str, tuple[str, Mapping[str, str]]],
    at: datetime | date,
    holdout: float = 0.0,
    seed: int = 0,
    method: Method = "hash",
    eligibility: Eligibility | None = None,
) -> Assignment:
    """Assign customers at random to two segmentations as arms of one test.

    Each customer is assigned to one of the segmentations at random and gets the offer of its
    segment there. The frame also holds the other segmentation's offer (columns
    ``offer_by_<name>``), so that the analysis can use the customers for whom the offers differ.

    Parameters
    ----------
    customers : DataFrame
        customer_id and each segmentation's column.
    campaign_id : str
    segmentations : mapping
        Name to (column of its segment, segment -> offer).
    at, seed, method, eligibility
        As in `assign_arms`; with "quota" the shares are exact within each pair of segments.
    holdout : float
        Share that gets nothing.

    Returns
    -------
    Assignment
        ``segment`` is the pair of segments ("S1 | Loyal").

    Raises
    ------
    ParameterError, DataError
        As in `assign_arms`; if a segment has no offer.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b"], "one": ["X", "X"], "two": ["P", "Q"]})
    >>> made = assign_segmentations(people, campaign_id="c", at=date(2025, 3, 1),
    ...     segmentations={"old": ("one", {"X": "sale"}),
    ...                    "new": ("two", {"P": "sale", "Q": "gift"})})
    >>> made.frame.columns[-2:]
    ['offer_by_old', 'offer_by_new']
    """
    if len(segmentations) < 2:
        raise ParameterError(
            f"expected two segmentations, got {', '.join(segmentations) or 'none'}"
        )
    require_range("[0, 1)", holdout=holdout)
    columns = [column for column, _ in segmentations.values()]
    require_columns(customers.columns, columns, "customers")
    people = customers.with_columns(
        _pair=pl.concat_str(pl.col(columns).cast(pl.String), separator=" | ")
    )
    offer = pl.lit(NO_OFFER)
    for name, (column, policy) in segmentations.items():
        offers = customers.get_column(column).drop_nulls().cast(pl.String).unique().sort()
        missing = [s for s in offers if s not in policy]
        if missing:
            raise DataError(f"segmentation {name!r} has no offer for segment {', '.join(missing)}")
        own = pl.col(column).cast(pl.String).replace_strict(dict(policy), default=NO_OFFER)
        people = people.with_columns(own.cast(pl.String).alias(f"offer_by_{name}"))
        offer = pl.when(pl.col("arm") == name).then(pl.col(f"offer_by_{name}")).otherwise(offer)
    arms = {"holdout": holdout} if holdout else {}
    arms |= dict.fromkeys(segmentations, (1 - holdout) / len(segmentations))
    drawn = assign_arms(
        people,
        campaign_id=campaign_id,
        arms=arms,
        at=at,
        seed=seed,
        segment="_pair",
        method=method,
        eligibility=eligibility,
    )
    by = people.select("customer_id", *(f"offer_by_{name}" for name in segmentations))
    frame = drawn.frame.join(by, on="customer_id", how="left", maintain_order="left")
    frame = frame.with_columns(offer=offer)
    return replace(drawn, frame=frame, counts=count_cells(frame))


@takes_frames
def read_segmentation_test(
    frame: pl.DataFrame, outcome: str, *, names: tuple[str, str], level: float = 0.95
) -> SegmentationTest:
    """Compare the profit of two segmentations that were the arms of a test.

    Customers to whom both segmentations give the same offer cannot differ. Only the others are
    compared, and the difference is expressed per customer of all. The result also holds the
    difference estimated from all customers, which is noisier.

    Parameters
    ----------
    frame : DataFrame
        customer_id, arm, ``offer_by_<name>`` of both (`assign_segmentations`), the outcome.
    outcome : str
        Profit per customer, or any number.
    names : (str, str)
    level : float

    Raises
    ------
    DataError
        If an arm is empty, or the two never differ.

    Examples
    --------
    >>> frame = pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "arm": ["o", "o", "n", "n"],
    ...     "offer_by_o": ["x"] * 4, "offer_by_n": ["y"] * 4, "profit": [1.0, 2.0, 3.0, 4.0]})
    >>> read_segmentation_test(frame, "profit", names=("n", "o")).difference
    2.0
    """
    by = [pl.col(f"offer_by_{name}") for name in names]
    need = ["customer_id", "arm", *(f"offer_by_{name}" for name in names), outcome]
    require_columns(frame.columns, need, "the test")
    check_customers(frame)
    for name in names:
        if not (frame.get_column("arm") == name).any():
            arms = ", ".join(map(str, frame["arm"].unique().sort()))
            raise DataError(f"nobody is in arm {name!r}; arms are {arms}")
    customers = frame.filter(pl.col("arm").is_in(names)).with_columns(_apart=by[0] != by[1])
    apart = customers.filter("_apart")
    if not apart.height:
        raise DataError("both segmentations give every customer the same offer: nothing to compare")
    parts = [finite_values(apart.filter(arm=name), outcome) for name in names]
    if min(map(len, parts)) < 2:
        raise DataError(
            "fewer than 2 customers of an arm would get different offers: too few to compare"
        )
    gap, share = compare_outcomes(*parts, level=level), apart.height / customers.height
    everybody = {name: finite_values(customers.filter(arm=name), outcome) for name in names}
    whole = compare_outcomes(*everybody.values(), level=level)
    return SegmentationTest(
        names,
        _valued(everybody, level),
        share * gap.value,
        share * gap.low,
        share * gap.high,
        share,
        outcome,
        "arms",
        level,
        all_difference=float(whole.value),
        all_low=float(whole.low),
        all_high=float(whole.high),
    )


@takes_frames
def recall_offers(
    assignments: pl.DataFrame,
    segmentations: Mapping[str, tuple[ProfileArchive, Mapping[str, str]]],
) -> pl.DataFrame:
    """Look up the offer of each segmentation for every customer at the time of assignment.

    The segments are those that the archives knew at the moment of assignment: what was learnt
    later, such as late orders or a new fit, counts for nothing. Where the assignment holds the
    offers already, they must be the same.

    Parameters
    ----------
    assignments : DataFrame
        customer_id and the time ``at`` (`assign_segmentations`, or the outcomes of its campaign).
    segmentations : mapping
        Name to (archive with the versions of its segments, segment -> offer).

    Returns
    -------
    polars.DataFrame
        The assignments with ``offer_by_<name>``, as `read_segmentation_test` reads them.

    Raises
    ------
    DataError
        If a customer's segment was not known then, a segment has no offer, or an offer differs
        from the one that the assignment holds.
    """
    frame = assignments
    for name, (archive, policy) in segmentations.items():
        segments = archive.known_when_assigned(assignments, at="assigned_at")["segment"]
        if segments.null_count():
            raise DataError(
                f"{counted(segments.null_count(), 'customer')} had no known segment by {name!r} "
                "when assigned"
            )
        missing = sorted(set(segments.unique()) - set(policy))
        if missing:
            raise DataError(f"segmentation {name!r} has no offer for segment {', '.join(missing)}")
        column = f"offer_by_{name}"
        offers = segments.replace_strict(dict(policy), return_dtype=pl.String).alias(column)
        if column in frame.columns:
            other = int((offers != frame[column].cast(pl.String)).sum())
            if other:
                raise DataError(
                    f"{counted(other, 'customer')}: the assigned offer differs from that of "
                    f"their segment of {name!r} at that time"
                )
        frame = frame.with_columns(offers)
    return frame


@takes_frames
def compare_segmentations(
    pilot: pl.DataFrame,
    outcome: str,
    *,
    segmentations: Mapping[str, str],
    level: float = 0.95,
    seed: int = 0,
    currency: str | None = None,
) -> SegmentationTest:
    """Estimate which of two segmentations would earn more, from one pilot with random offers.

    Parameters
    ----------
    pilot : DataFrame
        customer_id, offer (given at random), both segments' columns, the outcome.
    outcome : str
    segmentations : mapping of str to str
        Two names and their columns.
    level, seed, currency
        As in `read_pilot`.

    Returns
    -------
    SegmentationTest

    Examples
    --------
    >>> n = 400
    >>> pilot = pl.DataFrame({"customer_id": [str(i) for i in range(n)], "all": ["all"] * n,
    ...     "good": ["A", "B"] * (n // 2), "offer": ["x", "x", "y", "y"] * (n // 4)})
    >>> hit = ((pl.col("good") == "A") == (pl.col("offer") == "x")).cast(pl.Int8)
    >>> both = {"good": "good", "none": "all"}
    >>> found = compare_segmentations(pilot.with_columns(won=hit), "won", segmentations=both)
    >>> found.low > 0
    True
    """
    if len(segmentations) != 2:
        raise ParameterError(f"expected two segmentations, got {', '.join(segmentations)}")
    check_customers(pilot)
    require_columns(pilot.columns, ["offer", outcome, *segmentations.values()], "the pilot")
    one, two = segmentations
    pilot = pilot.sort("customer_id")
    trials = {name: make_trial(pilot, c, "offer", outcome)[0] for name, c in segmentations.items()}
    # The same folds for both, stratified by offer: the same customers are held out.
    splits = split_folds(replace(trials[one], group=np.zeros_like(trials[one].group)), 5, seed)
    scores = {
        name: honest_scores(trial, {name: partial(learn_best, trial)}, splits)[name]
        for name, trial in trials.items()
    }
    gap = value_of(scores[one] - scores[two], level=level)
    offers = [_learnt_offers(trial, splits) for trial in trials.values()]
    return SegmentationTest(
        (one, two),
        _valued(scores, level),
        gap.value,
        gap.low,
        gap.high,
        float((offers[0] != offers[1]).mean()),
        outcome,
        "pilot",
        level,
        currency,
    )


def _learnt_offers(trial: Trial, splits: np.ndarray) -> np.ndarray:
    """Return each customer's offer under the policy learnt from earlier folds."""
    policy = np.empty(len(splits), dtype=np.int64)
    for rest, test in rounds(splits):
        policy[test] = learn_best(trial, rest)[trial.group[test]]
    return np.asarray(policy[splits != splits.min()])


def _valued(outcomes: Mapping[str, np.ndarray], level: float) -> pl.DataFrame:
    rows = []
    for name, values in outcomes.items():
        mean = value_of(values, level=level)
        rows.append((name, len(values), mean.value, mean.low, mean.high))
    schema = ["segmentation", "customers", "value", "low", "high"]
    return pl.DataFrame(rows, schema=schema, orient="row")
