"""Key figures of a campaign, and the effect on each: difference and relative lift of two arms."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.errors import DataError, ParameterError, require_choice, unknown
from segkit.lift.sums import Sums
from segkit.stats.hypotheses import share_test, t_p_value
from segkit.stats.intervals import (
    Estimate,
    estimate,
    relative_difference,
    relative_lift,
    share_difference,
    wilson,
    z_value,
)
from segkit.stats.moments import PairOfMeans, cuped, plain_means, ratio_of_sums, stratified
from segkit.stats.shares import (
    agresti_caffo,
    agresti_caffo_ratio,
    score_difference,
    score_ratio,
)
from segkit.stats.two_part import (
    EXPECTED_BUYERS,
    Amounts,
    ArmMean,
    arm_means,
    can_be_positive,
    combine_strata,
    expected_buyers,
    mean_difference,
    mean_ratio,
    mean_test,
    no_effect,
    recovered_ratio,
)

KINDS = ("share", "mean", "ratio")
ShareInterval = Literal["newcombe", "score", "agresti-caffo"]
SHARE_INTERVALS: dict[str, Callable[..., Estimate]] = {
    "newcombe": share_difference,
    "score": score_difference,
    "agresti-caffo": agresti_caffo,
}
# Relative intervals of the same family, which exclude no effect in the same cases.
SHARE_RATIOS: dict[str, Callable[..., Estimate]] = {
    "score": score_ratio,
    "agresti-caffo": agresti_caffo_ratio,
}


@dataclass(frozen=True, slots=True)
class Kpi:
    """A key figure with its numerator, denominator and kind.

    Attributes
    ----------
    name, label : str
        Its name in frames, and in sentences.
    kind : str
        "share" (a 0/1 or Boolean column over customers), "mean" (an amount over customers) or
        "ratio" (a sum over another sum).
    column : str
        The outcome in the numerator, one value per customer.
    below : str
        The outcome in the denominator of a ratio; empty if the denominator is assigned customers.
    denominator : str
        The denominator in words.
    definition : str
        The numerator in words.
    better : str
        "up" or "down".
    guardrail : bool
        Whether it is a guardrail: the campaign must not harm it.
    mailed : bool
        Whether it exists only for customers who got mail, so that it cannot be compared with a
        control that got none.
    """

    name: str
    label: str
    kind: str
    column: str
    below: str = ""
    denominator: str = "customers assigned"
    definition: str = ""
    better: str = "up"
    guardrail: bool = False
    mailed: bool = False

    def __post_init__(self) -> None:
        require_choice("kind of metric", self.kind, KINDS)
        if (self.kind == "ratio") != bool(self.below):
            raise ParameterError(f"metric {self.name!r}: a ratio, and only a ratio, has `below`")

    @property
    def causal(self) -> bool:
        """Whether the denominator is fixed by the assignment; otherwise it is descriptive."""
        return self.kind != "ratio"

    @property
    def columns(self) -> tuple[str, ...]:
        """The outcome columns that it needs."""
        return (self.column, self.below) if self.below else (self.column,)


_LISTED = tomllib.loads(Path(__file__).with_name("kpis.toml").read_text(encoding="utf-8"))
KPIS: tuple[Kpi, ...] = tuple(Kpi(**row) for row in _LISTED["kpi"])
"""The usual figures; `choose_metrics` takes those that a frame can carry."""


def choose_metrics(
    columns: Iterable[str], wanted: Sequence[str | Kpi] | None = None
) -> tuple[Kpi, ...]:
    """Choose the wanted key figures, or all that can be computed from the outcomes.

    Raises
    ------
    ParameterError
        If a wanted name is unknown.
    DataError
        If an outcome column that a wanted figure needs is missing, or none can be measured.

    Examples
    --------
    >>> [metric.name for metric in choose_metrics(["converted", "revenue", "orders"])]
    ['conversion', 'revenue', 'orders', 'order_value']
    """
    have = set(columns)
    named = {metric.name: metric for metric in KPIS}
    if wanted is None:
        chosen = tuple(metric for metric in KPIS if have.issuperset(metric.columns))
    else:
        for one in wanted:
            if isinstance(one, str) and one not in named:
                raise ParameterError(unknown("metric", one, named))
        chosen = tuple(named[one] if isinstance(one, str) else one for one in wanted)
    for metric in chosen:
        missing = [column for column in metric.columns if column not in have]
        if missing:
            raise DataError(
                f"metric {metric.name!r} needs {', '.join(missing)}; the outcomes have "
                f"{', '.join(sorted(have))}"
            )
    if not chosen:
        raise DataError(f"no figure can be measured from the columns {', '.join(sorted(have))}")
    return chosen


def list_kpis() -> pl.DataFrame:
    """List each key figure with its definition and denominator.

    Returns
    -------
    polars.DataFrame
        metric, label, above, below, kind, use ("causal" where the denominator is fixed by the
        assignment, else "descriptive"), better, and last the campaign's ROI.

    Examples
    --------
    >>> list_kpis()["use"].unique().sort().to_list()
    ['causal', 'descriptive']
    """
    rows = [
        (
            m.name,
            m.label,
            m.definition,
            m.denominator,
            m.kind,
            "causal" if m.causal else "descriptive",
            m.better,
        )
        for m in KPIS
    ]
    roi = (
        "roi",
        "return on investment",
        "added revenue x margin, less added cost",
        "added cost",
        "ratio",
        "causal",
        "up",
    )
    schema = ["metric", "label", "above", "below", "kind", "use", "better"]
    return pl.DataFrame([*rows, roi], schema=schema, orient="row")


LIMITS = ("recovered", "log")  # relative lifts made from the limits of both means
FEW = 10  # conversions in an arm below which a share's interval is marked
WITHHELD = "withheld, too few buyers"


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """Effect on a key figure: an arm against the control.

    Attributes
    ----------
    customers_arm, customers_control : float
    value_arm, value_control : float
        The figure in either (adjusted where a method adjusts).
    difference : Estimate
        In the figure's own unit.
    relative : Estimate
        The difference as a share of the control's figure; an infinite limit is unbounded.
    error : float
        Standard error of the difference.
    null_error : float
        Standard error if there were no effect; the smallest detectable effect depends on it.
    p_value : float
    few : bool
        For a share: fewer than `FEW` customers with (or without) the outcome in an arm. For a mean
        or ratio: fewer than `EXPECTED_BUYERS` buyers expected in the smaller arm, or buyers of an
        arm too few for how much their amounts vary (`MOST_TIMES`); its interval is withheld.
    method : str
        Method of the confidence interval of the difference.
    variances : (float, float)
        Squared errors of the figure in the arm and the control, each from its own customers.
    cases : (float, float)
        Customers with an outcome other than zero in the arm and the control.
    """

    customers_arm: float
    customers_control: float
    value_arm: float
    value_control: float
    difference: Estimate
    relative: Estimate
    error: float
    null_error: float
    p_value: float
    few: bool
    method: str
    variances: tuple[float, float]
    cases: tuple[float, float]


def compare_arms(
    metric: Kpi,
    sums: Sums,
    segment: int | None,
    arms: tuple[int, int],
    *,
    level: float = 0.95,
    **options: Any,
) -> Effect:
    """Compare a figure in two arms, of one segment or of all customers.

    A share without covariates gets the interval of ``shares`` and `share_test`; a mean is compared
    by its two parts, the share of buyers and the amount per buyer, with the variance pooled under
    no effect (`segkit.stats.two_part`); a ratio by the delta method over customers. With covariates
    the mean (or share) is adjusted by CUPED; with ``strata``, the segments' effects are combined by
    their size. Where test and interval disagree at the margin, the more cautious decides: an
    interval without zero is extended to it if the test does not reject, and a p-value below
    ``1 - level`` becomes that of the interval if it holds zero. With covariates both stay as they
    are: the test there finds much smaller effects than the interval shows.

    Parameters
    ----------
    metric : Kpi
    sums : Sums
    segment : int or None
        Which segment; None for all.
    arms : (int, int)
        Indices of the arm and the control in ``sums.arms``.
    covariates : sequence of str
        Columns known before the assignment, in ``sums``.
    strata : bool
        Post-stratify by segment.
    relative : {"recovered", "log", "fieller", "delta"}
    shares : {"newcombe", "score", "agresti-caffo"}
        Interval of the difference of shares; the last two give the relative one too.
    level : float

    Returns
    -------
    Effect
        NaN where an arm is empty.
    """
    effect = _compare(metric, sums, segment, arms, level=level, **options)
    difference, p = effect.difference, effect.p_value
    if options.get("covariates") or np.isnan([difference.low, difference.high, p]).any():
        return effect
    if _excludes_zero(difference) and p > 1 - level:
        whole, relative = _to_zero(difference), _to_zero(effect.relative)
        return replace(effect, difference=whole, relative=relative)
    if _excludes_zero(difference) or p > 1 - level:
        return effect
    below, above = 0.0, level  # levels whose interval excludes and includes zero
    while above - below > 1e-6:
        middle = (below + above) / 2
        again = _compare(metric, sums, segment, arms, level=middle, **options).difference
        below, above = (middle, above) if _excludes_zero(again) else (below, middle)
    return replace(effect, p_value=1 - below)


def _excludes_zero(interval: Estimate) -> bool:
    return bool(interval.low > 0 or interval.high < 0)


def _to_zero(interval: Estimate) -> Estimate:
    return replace(interval, low=min(interval.low, 0.0), high=max(interval.high, 0.0))


def _compare(
    metric: Kpi,
    sums: Sums,
    segment: int | None,
    arms: tuple[int, int],
    *,
    covariates: Sequence[str] = (),
    strata: bool = False,
    relative: str = "recovered",
    shares: str = "newcombe",
    level: float = 0.95,
) -> Effect:
    z_value(level)
    rows = None if segment is None else [segment]
    n1, n2 = (float(sums.n[slice(None) if rows is None else rows, arm].sum()) for arm in arms)
    if n1 == 0 or n2 == 0:
        nan = float("nan")
        none, pair = Estimate(nan, nan, nan, level, "none"), (nan, nan)
        return Effect(n1, n2, nan, nan, none, none, nan, nan, nan, True, "none", pair, pair)
    if metric.kind == "ratio":
        return _ratios(metric, sums, segment, arms, relative, level)
    if metric.kind == "share" and not covariates and not strata:
        one, two = (sums.amounts(arm, metric.column, rows) for arm in arms)
        return _shares(one, two, relative, shares, level)
    if strata and segment is None:
        rows = comparable(sums, arms) or None
    both = sums.n[:, arms[0]] + sums.n[:, arms[1]]
    sizes = [both.sum()] if rows is None else both[rows]
    return compare_means(
        metric, sums, rows, arms, sizes, covariates=covariates, relative=relative, level=level
    )


def comparable(sums: Sums, arms: tuple[int, int]) -> list[int]:
    """Return the segments in which both arms have at least two customers."""
    return [i for i in range(len(sums.segments)) if all(sums.n[i, arm] >= 2 for arm in arms)]


def _shares(one: Amounts, two: Amounts, relative: str, shares: str, level: float) -> Effect:
    (n1, x1), (n2, x2) = ((float(a.n[0]), float(a.total[0])) for a in (one, two))
    p1, p2 = x1 / n1, x2 / n2
    # With no case, or only cases, the variance would be zero: half a case is added to each side.
    e1, e2 = (
        float(np.sqrt(p * (1 - p) / n if 0 < p < 1 else 0.5 * (n + 0.5) / (n + 1) ** 2 / n))
        for p, n in ((p1, n1), (p2, n2))
    )
    difference = SHARE_INTERVALS[shares](x1, n1, x2, n2, level=level)
    if shares in SHARE_RATIOS:
        lift = SHARE_RATIOS[shares](x1, n1, x2, n2, level=level)
    elif relative == "recovered":
        lift = recovered_ratio(*(_share_limits(x, n, level) for x, n in ((x1, n1), (x2, n2))))
    elif relative == "log":
        lift = relative_lift(x1, n1, x2, n2, level=level)
        lift = replace(lift, high=float("inf")) if x2 == 0 else lift
    else:
        lift = relative_difference(p1, e1, p2, e2, method=relative, level=level)
    both = (x1 + x2) / (n1 + n2)
    return Effect(
        n1,
        n2,
        p1,
        p2,
        difference,
        lift,
        error=float(np.hypot(e1, e2)),
        null_error=float(np.sqrt(both * (1 - both) * (1 / n1 + 1 / n2))),
        p_value=float(share_test(x1, n1, x2, n2).p_value),
        few=min(x1, n1 - x1, x2, n2 - x2) < FEW,
        method=difference.method,
        variances=(e1**2, e2**2),
        cases=(x1, x2),
    )


def _share_limits(cases: float, customers: float, level: float) -> ArmMean:
    """Return a share with Wilson's limits, from which Newcombe's interval is made."""
    share = wilson(cases, customers, level=level)
    return ArmMean(share.value, share.low, share.high, None)


def compare_means(
    metric: Kpi,
    sums: Sums,
    rows: Sequence[int] | None,
    arms: tuple[int, int],
    sizes: npt.ArrayLike,
    *,
    covariates: Sequence[str] = (),
    relative: str = "recovered",
    level: float = 0.95,
) -> Effect:
    """Compare a mean (or share) in two arms over some segments, weighted by their sizes.

    Parameters
    ----------
    metric : Kpi
    sums : Sums
    rows : sequence of int or None
        Indices of the segments; None for all customers as one group.
    arms : (int, int)
    sizes : array
        Weight of each segment; one number for all customers.
    covariates, relative, level
        As `compare_arms`.

    Returns
    -------
    Effect
    """
    one, two = (sums.amounts(arm, metric.column, rows) for arm in arms)
    columns = [metric.column, *covariates]
    groups: list[int | None] = [None] if rows is None else list(rows)
    compare = cuped if covariates else plain_means
    pairs = [compare(*(sums.moments(g, arm, columns) for arm in arms)) for g in groups]
    pair = stratified(pairs, sizes)
    weights = np.asarray(sizes, dtype=np.float64) / np.sum(sizes)
    null = no_effect(one, two).combined(weights, np.array([each.kept for each in pairs]))
    whole = combine_strata(one, weights), combine_strata(two, weights)
    plain = float(no_effect(*whole).error)
    enough = one.n.sum() + two.n.sum() > 10 * (1 + len(covariates))
    if covariates and enough and plain > 0 and not float(null.error) > 1e-6 * plain:
        raise DataError(
            f"{', '.join(covariates)} predict {metric.label} perfectly, so they cannot have been "
            "known before the assignment; leave out covariates computed from the outcome"
        )
    limits = arm_means(
        *whole,
        level=level,
        means=(pair.mean_1, pair.mean_2),
        kept=float(null.error) / plain if plain > 0 else 1.0,
    )
    method = "CUPED, " if covariates else ""
    method += "post-stratified, " if len(groups) > 1 else ""
    # Amounts that are often negative (profit after costs) get the normal interval; a few returns
    # among the purchases do not change the two-part method.
    signed = any(sums.often_negative(arm, metric.column, rows) for arm in arms)
    signed = signed or not all(can_be_positive(arm) for arm in whole)
    customers = float(one.n.sum()), float(two.n.sum())
    effect = _mean_effect(pair, limits, customers, method, relative, level, signed=signed)
    few = float(expected_buyers(*whole)) < EXPECTED_BUYERS
    few |= not signed and not all(limit.bounded for limit in limits)
    if few:
        effect = replace(
            effect,
            difference=_withheld(effect.difference.value, level),
            relative=_withheld(effect.relative.value, level),
            method=WITHHELD,
        )
    return replace(
        effect,
        null_error=float(null.error),
        p_value=float(mean_test(pair.difference, null)),
        few=few,
        cases=(float(one.buyers.sum()), float(two.buyers.sum())),
    )


def _mean_effect(
    pair: PairOfMeans,
    limits: tuple[ArmMean, ArmMean],
    customers: tuple[float, float],
    method: str,
    relative: str,
    level: float,
    *,
    signed: bool,
) -> Effect:
    """Build an effect from the two arms' means and limits.

    For amounts of both signs (``signed``) a relative lift is not reported if the control's mean
    could be zero or negative.
    """
    d = pair.difference
    # The common part of the adjusted means cancels in their difference.
    own = float(pair.own_1), float(pair.own_2)
    difference = mean_difference(*limits, level=level)
    ratio = mean_ratio if relative == "log" else recovered_ratio
    lift = ratio(*limits, level=level)
    errors = float(limits[0].error), float(limits[1].error)
    method = f"{method}two-part"
    turns = False
    if signed or not np.isfinite(difference.low):
        errors = _signed_errors(own, customers)
        turns = not pair.mean_2 > z_value(level) * errors[1]
        reach = z_value(level) * float(np.hypot(*errors))
        reach = reach if reach > 0 else np.nan  # nobody bought: the variance cannot be estimated
        difference = estimate(d, d - reach, d + reach, level, "normal")
        method = f"{method.removesuffix('two-part')}normal, amounts of both signs"
        relative = "fieller" if relative in LIMITS else relative
    if relative not in LIMITS:
        lift = relative_difference(
            pair.mean_1, errors[0], pair.mean_2, errors[1], method=relative, level=level
        )
    return Effect(
        *customers,
        pair.mean_1,
        pair.mean_2,
        difference,
        relative=_withheld(float("nan"), level) if turns else lift,
        error=float(np.hypot(*errors)),
        null_error=float("nan"),
        p_value=float("nan"),
        few=False,
        method=method,
        variances=own,
        cases=(0.0, 0.0),
    )


def _ratios(
    metric: Kpi, sums: Sums, segment: int | None, arms: tuple[int, int], relative: str, level: float
) -> Effect:
    """Compare ratios of sums; the residuals ``y - R x`` are used as amounts."""
    groups = [sums.moments(segment, arm, metric.columns) for arm in arms]
    (one, v1), (two, v2) = (ratio_of_sums(group) for group in groups)
    residuals = [_residuals(metric, sums, segment, arm) for arm in arms]
    limits = arm_means(*residuals, level=level, means=(one, two))
    ratio = mean_ratio if relative == "log" else recovered_ratio
    difference, lift = mean_difference(*limits, level=level), ratio(*limits, level=level)
    e1, e2 = (float(limit.error) for limit in limits)
    if relative not in LIMITS:
        lift = relative_difference(one, e1, two, e2, method=relative, level=level)
    cases = [sums.buyers(segment, arm, metric.column) for arm in arms]
    rows = None if segment is None else [segment]
    below = [sums.amounts(arm, metric.below, rows) for arm in arms]
    few = min(float(expected_buyers(*below)[0]), *cases) < EXPECTED_BUYERS
    few |= not all(limit.bounded for limit in limits)
    if few:
        difference, lift = _withheld(one - two, level), _withheld(float(lift.value), level)
    error = float(np.hypot(e1, e2))
    return Effect(
        groups[0].n,
        groups[1].n,
        one,
        two,
        difference,
        lift,
        error=error,
        null_error=error,
        p_value=float(t_p_value((one - two) / error, np.inf)) if error > 0 else float("nan"),
        few=few,
        method=WITHHELD if few else "delta method",
        variances=(v1, v2),
        cases=(cases[0], cases[1]),
    )


def _residuals(metric: Kpi, sums: Sums, segment: int | None, arm: int) -> Amounts:
    """Sum the residuals of a ratio over one arm, as amounts of the customers with a numerator."""
    i, j = (sums.columns.index(column) for column in metric.columns)
    rows = slice(None) if segment is None else slice(segment, segment + 1)
    products, cubes = (t[rows, arm].sum(axis=0) for t in (sums.products, sums.cubes))
    y, x = (float(sums.totals[rows, arm, k].sum()) for k in (i, j))
    buyers = np.array(sums.buyers(segment, arm, metric.column))
    r = y / x if x > 0 else 0.0
    away = sums.shift[i] - r * sums.shift[j]  # the products are of shifted columns
    n = float(sums.n[rows, arm].sum())
    square = products[i, i] - 2 * r * products[i, j] + r**2 * products[j, j]
    cube = cubes[i, i] - 3 * r * cubes[i, j] + 3 * r**2 * cubes[j, i] - r**3 * cubes[j, j]
    second, third = max(square - n * away**2, 0.0), cube + 3 * away * square - 2 * n * away**3
    return Amounts(buyers, buyers, np.array(y), np.array(second), np.array(third))


def _withheld(value: float, level: float) -> Estimate:
    return estimate(value, float("nan"), float("nan"), level, WITHHELD)


def _signed_errors(own: tuple[float, float], customers: tuple[float, float]) -> tuple[float, float]:
    """Return both means' errors for amounts of both signs: the larger of own and pooled error."""
    n1, n2 = customers
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = n1 + n2 - 2
        # one customer an arm shows no spread at all
        squares = own[0] * n1 * (n1 - 1) + own[1] * n2 * (n2 - 1)
        shared = squares / freedom if freedom > 0 else np.nan
        one, two = np.sqrt(np.maximum(own, shared * np.array([1 / n1, 1 / n2])))
    return float(one), float(two)
