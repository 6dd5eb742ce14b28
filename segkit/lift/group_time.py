"""Group-time average effects of campaigns that were chosen, against customers not yet contacted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, money, number, percent
from segkit.errors import DataError, require_choice, require_columns, require_least, require_range
from segkit.frames import takes_frames
from segkit.lift.wording import p_words
from segkit.result import Figure, Result
from segkit.stats.changes import difference_of_changes, doubly_robust_difference, simultaneous_limit
from segkit.stats.intervals import ci_words

if TYPE_CHECKING:
    from segkit.intake import Intake

Array = npt.NDArray[np.float64]
LABEL = "Observational: campaigns were chosen, not randomised"
# Outcome: its name, and the verb that goes with it.
OUTCOMES = {
    "spend": ("spend", "was"),
    "orders": ("orders", "were"),
    "redemptions": ("coupon redemptions", "were"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """First contacts of customers by campaigns that were not randomised, and what customers did.

    Attributes
    ----------
    first : DataFrame
        One row per customer: customer_id, first_contact (Date; null if never contacted), and
        covariates that were known before every contact, if any.
    activity : DataFrame
        One row per customer and day with an order or a redemption: customer_id, day (Date), spend
        (in the reporting currency), orders, and redemptions where the source records them (number
        of campaigns whose first coupon the customer redeemed on that day).
    data_from, data_until : date
        First and last day with orders.
    currency : str or None
    """

    first: pl.DataFrame
    activity: pl.DataFrame
    data_from: date
    data_until: date
    currency: str | None = None


def collect_contacts(taken: Intake) -> Contacts | None:
    """Collect customers' first contacts by campaigns without a control, with orders by day.

    Campaigns with a single arm are taken: they have no control, and their customers were chosen,
    not assigned at random.

    Parameters
    ----------
    taken : Intake
        Clean orders and assignments.

    Returns
    -------
    Contacts or None
        None if there are no orders, or no such campaign is recorded with its day.
    """
    orders, sent = taken.orders, taken.assignments
    if orders is None or sent is None or not {"campaign_id", "assigned_at"} <= set(sent.columns):
        return None
    chosen = sent.filter(pl.col("arm").n_unique().over("campaign_id") == 1)
    chosen = chosen.drop_nulls(["campaign_id", "assigned_at"])
    if chosen.is_empty():
        return None
    zone = taken.mapping.option("orders", "timezone") or "UTC"
    day = pl.col("assigned_at").dt.convert_time_zone(zone).dt.date()
    contacted = chosen.group_by("customer_id").agg(first_contact=day.min())
    first = orders.select("customer_id").unique().join(contacted, on="customer_id", how="left")
    activity = orders.group_by("customer_id", day=pl.col("order_day").cast(pl.Date)).agg(
        spend=pl.col("amount").sum(), orders=pl.col("order_id").n_unique().cast(pl.Float64)
    )
    if "first_redeemed" in chosen.columns:
        redeemed = (
            chosen.drop_nulls("first_redeemed")
            .group_by("customer_id", day="first_redeemed")
            .agg(redemptions=pl.len().cast(pl.Float64))
        )
        activity = activity.join(redeemed, on=["customer_id", "day"], how="full", coalesce=True)
        activity = activity.with_columns(pl.col("spend", "orders", "redemptions").fill_null(0.0))
    days: Any = activity.filter(pl.col("orders") > 0)["day"]
    return Contacts(
        first.sort("customer_id"),
        activity.sort("customer_id", "day"),
        days.min(),
        days.max(),
        taken.mapping.option("orders", "currency"),
    )


@dataclass(frozen=True, slots=True, eq=False)
class GroupTimeEffects(Result):
    """Average effects of a first contact by group and time, against customers not yet contacted.

    Attributes
    ----------
    table : DataFrame
        One row per estimate: scope ("overall", "window" or "group"), group (day of the first
        contact; null for all groups), window (0 is the first one after the contact, -1 the one
        before it, with which all are compared; null for the overall effect), customers,
        comparison (customers not yet contacted; of several groups the smallest number), value (of
        the contacted, per customer and window), expected (the value without the effect), effect,
        error, low, high (pointwise), band_low, band_high (simultaneous over the scope).
    outcome : str
        What was counted.
    window_days : int
        Length of every window, in days.
    windows : int
        Windows after the contact, and as many before it.
    pretrend_statistic, pretrend_p : float or None
        Joint Wald test that all effects before the contact are zero; None with one window.
    level : float
    notes : tuple of str
        Groups that were left out, and why.
    currency : str or None
        Of spend.
    """

    table: pl.DataFrame
    outcome: str
    window_days: int
    windows: int
    pretrend_statistic: float | None
    pretrend_p: float | None
    level: float
    notes: tuple[str, ...] = ()
    currency: str | None = None

    @property
    def overall(self) -> dict[str, Any]:
        """Mean effect over the windows after the contact."""
        return self.table.filter(scope="overall").row(0, named=True)

    @property
    def by_window(self) -> pl.DataFrame:
        """Effects over all groups by window before and after the contact."""
        return self.table.filter(scope="window").drop("scope", "group")

    @property
    def by_group(self) -> pl.DataFrame:
        """Effects by day of the first contact and window."""
        return self.table.filter(scope="group").drop("scope")

    @property
    def text(self) -> str:
        """Finding: the overall effect, and whether trends were parallel before the contact."""
        return f"{self.headline} {self._pretrend()} This is no lift: to know it, assign at random."

    @property
    def headline(self) -> str:
        """The overall effect, labelled as observational."""
        row, (name, verb) = self.overall, self._name()
        higher = "higher" if row["effect"] >= 0 else "lower"
        share = ""
        if row["expected"] > 0:
            share = f", {percent(abs(row['effect']) / row['expected'])} of what was expected"
        unclear = row["low"] <= 0 <= row["high"]
        limits = ci_words(row["low"], row["high"], self.level, self._amount)
        return (
            f"{LABEL}. Per {counted(self.window_days, 'day')} after the first contact, {name} "
            f"{verb} {self._amount(abs(row['effect']))} {higher} per customer than among customers "
            f"not yet contacted{share} ({limits}){', undecided' if unclear else ''}."
        )

    @property
    def answer(self) -> str:
        """Whether the outcome rose after the contact (observational), with the interval."""
        row = self.overall
        shown = "Not shown" if row["low"] <= 0 <= row["high"] else "Yes" if row["low"] > 0 else "No"
        limits = ci_words(row["low"], row["high"], self.level, self._amount)
        return (
            f"{shown}: {self._amount(row['effect'])} of {self._name()[0]} per customer and "
            f"{counted(self.window_days, 'day')} ({limits}); observational, campaigns were chosen."
        )

    def _name(self) -> tuple[str, str]:
        return OUTCOMES.get(self.outcome, (self.outcome.replace("_", " "), "was"))

    def _amount(self, value: float) -> str:
        return money(value, self.currency) if self.outcome == "spend" else number(value)

    def _pretrend(self) -> str:
        if self.pretrend_p is None:
            if self.windows > 1:
                return "Before the contact nothing changed in either group."
            return "Whether both had gone the same way before was not tested."
        words = f"joint Wald test, {p_words(self.pretrend_p)}"
        if self.pretrend_p < 1 - self.level:
            return (
                f"Already before the contact they had not gone the same way ({words}): the "
                "difference after it is not the campaigns' doing alone."
            )
        return (
            f"Before the contact no difference was found ({words}), which does not prove that "
            "there would have been none after it."
        )

    def plot(self) -> Figure:
        """Draw the effects by window, with limits that hold for all of them together."""
        from segkit.plot import intervals

        days = self.window_days
        shown = self.by_window.with_columns(
            days=pl.col("window").map_elements(
                lambda k: f"day {k * days} to {(k + 1) * days - 1}", return_dtype=pl.String
            )
        )
        per = f"per customer in {counted(days, 'day')}"
        unit = f" ({self.currency})" if self.outcome == "spend" and self.currency else ""
        return intervals(
            shown, "days", "effect", interval=("band_low", "band_high"), percent=False,
            title=f"{self._name()[0].capitalize()} of contacted customers beside those not yet "
            "contacted",
            x_label="days since the first contact", y_label=f"difference {per}{unit}",
        )  # fmt: skip


@takes_frames
def estimate_group_time_effects(
    contacts: Contacts,
    *,
    outcome: str = "spend",
    window_days: int = 28,
    windows: int = 3,
    covariates: Sequence[str] = (),
    min_customers: int = 10,
    level: float = 0.95,
    draws: int = 1999,
    seed: int = 0,
) -> GroupTimeEffects:
    r"""Estimate the effects of a first contact where the contacted were chosen, not randomised.

    A group is the customers first contacted on the same day :math:`g`. The days around it are cut
    into windows of equal length, as many before as after. Each group's change from the window
    before the contact to another window is compared with that of the customers not yet contacted
    by the end of both:

    .. math:: ATT(g, e) = E[Y_e - Y_{-1} \mid G = g] - E[Y_e - Y_{-1} \mid G > \text{end of } e]

    Effects by window are means over the groups, weighted by their customers; every group has all
    windows, so that the groups are the same in each. The overall effect is the mean of the windows
    after the contact. Later contacts are part of the effect: once contacted, a customer counts as
    contacted. The estimate is the campaigns' effect only under parallel trends: without the
    campaigns, the outcomes of both groups would have changed by the same amount.

    Parameters
    ----------
    contacts : Contacts
        See `collect_contacts`.
    outcome : str
        A column of ``contacts.activity``: "spend", "orders" or "redemptions".
    window_days : int
        Length of a window, in days.
    windows : int
        Windows after the contact, and before it.
    covariates : sequence of str
        Numeric columns of ``contacts.first``. Trends then need to be parallel only among customers
        with the same covariates. Changes are adjusted by a regression, and customers are weighted
        by their probability of being contacted (logit); it is enough that one of the two models is
        right (doubly robust).
    min_customers : int
        A group with fewer customers, or with fewer to compare with, is left out (counted in the
        notes).
    level : float
    draws : int
        Of the multiplier bootstrap, for the simultaneous limits.
    seed : int

    Returns
    -------
    GroupTimeEffects

    Raises
    ------
    ParameterError
        If the outcome is unknown, or a number is out of range.
    DataError
        If no group has all its windows within the data and enough customers to compare with, a
        customer or value is missing or comes twice, or covariates separate the contacted from the
        others.

    Notes
    -----
    Source: Callaway & Sant'Anna (2021), Difference-in-Differences with multiple time periods,
    Journal of Econometrics 225, equations 2.4 and 3.1 to 3.9; comparison with customers not yet
    treated, universal base period. With covariates: Sant'Anna & Zhao (2020), Doubly robust
    difference-in-differences estimators, Journal of Econometrics 219, equation 3.1. Errors come
    from the influence function of each customer, so that a customer's windows may depend on each
    other.

    Examples
    --------
    >>> from datetime import date
    >>> first = pl.DataFrame({"customer_id": list("abcd"),
    ...     "first_contact": [date(2024, 1, 3)] * 2 + [None] * 2})
    >>> activity = pl.DataFrame({"customer_id": list("abcdabcd"),
    ...     "day": [date(2024, 1, 1)] * 4 + [date(2024, 1, 4)] * 4,
    ...     "spend": [1.0, 3.0, 2.0, 2.0, 5.0, 8.0, 3.0, 4.0]})
    >>> both = Contacts(first, activity, date(2024, 1, 1), date(2024, 1, 4))
    >>> found = estimate_group_time_effects(both, window_days=2, windows=1, min_customers=2)
    >>> found.overall["effect"]
    3.0
    """
    _check(contacts, outcome, window_days, windows, min_customers, level, draws)
    X = _design_of(contacts.first, covariates)
    days = _days(contacts.first)
    groups, notes = _usable(contacts, days, window_days, windows, min_customers)
    if covariates:
        notes.append(f"Compared among customers alike in {', '.join(covariates)}.")
    index = {name: i for i, name in enumerate(contacts.first["customer_id"])}
    panel = _Panel(contacts, outcome, index, window_days, windows)
    places = [e for e in range(-windows, windows) if e != -1]
    rows: list[dict[str, Any]] = []
    influence: list[Array] = []
    for group in groups:
        sums = panel.sums(group)
        base = sums[:, windows - 1]
        own = days == group
        for e in places:
            end = group + (max(e, -1) + 1) * window_days  # first day after both windows
            others = ~own & (days >= max(end, group + 1))
            change = sums[:, e + windows] - base
            if X is None:
                effect, each = difference_of_changes(change, own, others)
            else:
                effect, each = doubly_robust_difference(change, own, others, X)
            value = float(sums[own, e + windows].mean())
            rows.append(
                {"scope": "group", "group": date.fromordinal(group), "window": e,
                 "customers": int(own.sum()), "comparison": int(others.sum()), "value": value,
                 "expected": value - effect, "effect": effect}
            )  # fmt: skip
            influence.append(each)
    by_group = pl.DataFrame(rows)
    every = np.column_stack(influence)
    by_window, of_windows = _aggregate(by_group, every, groups, days, places)
    after = [places.index(e) for e in places if e >= 0]
    overall = (
        by_window[after]
        .select(
            pl.lit("overall").alias("scope"),
            pl.lit(None, pl.Date).alias("group"),
            pl.lit(None, by_group.schema["window"]).alias("window"),
            pl.col("customers").first(),
            pl.col("comparison").min(),
            pl.col("value", "expected", "effect").mean(),
        )
        .head(1)
    )
    of_overall = of_windows[:, after].mean(axis=1, keepdims=True)
    scopes = ((overall, of_overall), (by_window, of_windows), (by_group, every))
    parts = [_with_limits(part, each, level, draws, seed) for part, each in scopes]
    statistic, p_value = _pretrend_test(by_window, of_windows, places)
    return GroupTimeEffects(
        pl.concat(parts), outcome, window_days, windows, statistic, p_value, level, tuple(notes),
        contacts.currency,
    )  # fmt: skip


NEVER = date.max.toordinal()  # first contact of customers who were never contacted


def _check(
    contacts: Contacts, outcome: str, window_days: int, windows: int, least: int, level: float,
    draws: int,
) -> None:  # fmt: skip
    require_columns(contacts.first.columns, ["customer_id", "first_contact"], "the contacts")
    require_columns(contacts.activity.columns, ["customer_id", "day"], "the activity")
    outcomes = [name for name in contacts.activity.columns if name not in ("customer_id", "day")]
    require_choice("outcome", outcome, outcomes)
    require_range("[1, inf)", window_days=window_days, windows=windows)
    require_least(min_customers=(least, 2), draws=(draws, 99))
    require_range("(0, 1)", level=level)
    ids = contacts.first["customer_id"]
    if ids.null_count() or ids.n_unique() < len(ids):
        raise DataError("the contacts hold a customer twice, or one without an id")
    days = contacts.first["first_contact"].dtype
    if days not in (pl.Date, pl.Null):
        raise DataError(f"first_contact holds {days}, expected Date")
    values = contacts.activity[outcome].cast(pl.Float64)
    if values.null_count() or not values.is_finite().all():
        raise DataError(f"the activity's {outcome} has missing or not finite values")


def _days(first: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return each customer's first contact as a day's ordinal."""
    shift = date(1970, 1, 1).toordinal()
    day = pl.col("first_contact").cast(pl.Date).cast(pl.Int64) + shift
    return first.select(day.fill_null(NEVER)).to_series().to_numpy()


def _usable(
    contacts: Contacts, days: npt.NDArray[np.int64], length: int, windows: int, least: int
) -> tuple[list[int], list[str]]:
    """Return the groups that have all windows and enough customers, and notes on the others."""
    begin, end = contacts.data_from.toordinal(), contacts.data_until.toordinal()
    reach = length * windows
    usable: list[int] = []
    left_out: dict[str, int] = {}
    for group in np.unique(days[days < NEVER]):
        own = int((days == group).sum())
        others = int((days >= group + reach).sum())
        if group - reach < begin:
            why = f"contacted less than {counted(reach, 'day')} after the data begin"
        elif group + reach - 1 > end:
            why = f"contacted less than {counted(reach, 'day')} before they end"
        elif own < least:
            why = f"in groups of fewer than {least}"
        elif others < least:
            why = f"with fewer than {counted(least, 'customer')} not yet contacted to compare with"
        else:
            usable.append(int(group))
            continue
        left_out[why] = left_out.get(why, 0) + own
    listed = "; ".join(f"{number(n)} {why}" for why, n in left_out.items())
    if not usable:
        raise DataError(
            f"no group of contacted customers can be compared over {windows} windows of {length} "
            f"days before and after: {listed or 'nobody was contacted'}"
        )
    compared = int(np.isin(days, usable).sum())
    never = f"{number(int((days == NEVER).sum()))} were never contacted"
    groups = f"{counted(len(usable), 'group')} by day of first contact"
    notes = [f"{counted(compared, 'contacted customer')} in {groups} are compared; {never}."]
    if listed:
        notes.append(f"Left out of the contacted: {listed}.")
    return usable, notes


class _Panel:
    """Sums of an outcome per customer in the windows around a day."""

    def __init__(
        self, contacts: Contacts, outcome: str, index: dict[str, int], length: int, windows: int
    ) -> None:
        activity = contacts.activity.filter(pl.col("customer_id").is_in(list(index)))
        ids = pl.Series(list(index), dtype=pl.String)
        places = pl.DataFrame({"customer_id": ids, "place": range(len(index))})
        joined = activity.join(places, on="customer_id")
        self.place = joined["place"].to_numpy()
        shift = date(1970, 1, 1).toordinal()
        self.day = joined["day"].cast(pl.Date).cast(pl.Int64).to_numpy() + shift
        self.value = joined[outcome].cast(pl.Float64).to_numpy()
        self.n, self.length, self.windows = len(index), length, windows

    def sums(self, group: int) -> Array:
        """Return one row per customer, one column per window, the earliest first."""
        window = (self.day - group) // self.length + self.windows
        within = (window >= 0) & (window < 2 * self.windows)
        cell = self.place[within] * (2 * self.windows) + window[within]
        total = np.bincount(cell, self.value[within], minlength=self.n * 2 * self.windows)
        return np.asarray(total.reshape(self.n, 2 * self.windows), dtype=np.float64)


def _design_of(first: pl.DataFrame, covariates: Sequence[str]) -> Array | None:
    """Return an intercept and the standardised covariates; None without any."""
    if not covariates:
        return None
    require_columns(first.columns, covariates, "the contacts")
    values = first.select(pl.col(list(covariates)).cast(pl.Float64)).fill_null(float("nan"))
    X = values.to_numpy()
    if not np.isfinite(X).all():
        raise DataError(f"{', '.join(covariates)}: a value is missing or not finite")
    spread = X.std(axis=0)
    if (spread == 0).any():
        raise DataError(f"{covariates[int(spread.argmin())]} is the same for all customers")
    return np.column_stack([np.ones(len(X)), (X - X.mean(axis=0)) / spread])


def _aggregate(
    by_group: pl.DataFrame,
    every: Array,
    groups: list[int],
    days: npt.NDArray[np.int64],
    places: list[int],
) -> tuple[pl.DataFrame, Array]:
    """Average the effects over groups, weighted by their customers; the weights are estimated."""
    member = np.column_stack([days == group for group in groups]).astype(float)
    shares = member.mean(axis=0)
    weight = shares / shares.sum()
    of_weight = (member - shares - np.outer(member.sum(axis=1) - shares.sum(), weight)) / (
        shares.sum()
    )
    rows, influence = [], []
    for k, e in enumerate(places):
        at = [g * len(places) + k for g in range(len(groups))]
        part = by_group[at]
        effects = part["effect"].to_numpy()
        rows.append(
            {"scope": "window", "group": None, "window": e,
             "customers": int(part["customers"].sum()),
             "comparison": int(part["comparison"].min()),  # type: ignore[arg-type]
             **{name: float(weight @ part[name].to_numpy())
                for name in ("value", "expected", "effect")}}
        )  # fmt: skip
        influence.append(every[:, at] @ weight + of_weight @ effects)
    return pl.DataFrame(rows, schema=by_group.schema), np.column_stack(influence)


def _with_limits(
    part: pl.DataFrame, influence: Array, level: float, draws: int, seed: int
) -> pl.DataFrame:
    """Add errors, pointwise limits, and limits that hold for all rows together."""
    from scipy.special import ndtri

    n = len(influence)
    error = np.sqrt((influence**2).sum(axis=0)) / n
    point = float(ndtri((1 + level) / 2))
    wide = (
        point if part.height == 1 else max(point, simultaneous_limit(influence, level, draws, seed))
    )
    limits = [
        (pl.Series(part["effect"]) + sign * reach * pl.Series(error)).alias(name)
        for name, sign, reach in (
            ("low", -1, point),
            ("high", 1, point),
            ("band_low", -1, wide),
            ("band_high", 1, wide),
        )
    ]
    return part.with_columns(pl.Series("error", error), *limits)


def _pretrend_test(
    by_window: pl.DataFrame, influence: Array, places: list[int]
) -> tuple[float | None, float | None]:
    """Test jointly that the effects before the contact are zero (Wald)."""
    from scipy.special import chdtrc

    before = [k for k, e in enumerate(places) if e < -1]
    if not before:
        return None, None
    effects = by_window["effect"].to_numpy()[before]
    part = influence[:, before]
    covariance = part.T @ part / len(part) ** 2
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    if rank == 0:
        return None, None
    statistic = float(effects @ np.linalg.pinv(covariance, hermitian=True) @ effects)
    return statistic, float(chdtrc(rank, statistic))
