"""Uplift and Qini curves by named conventions, with pointwise bootstrap limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import number
from segkit.errors import (
    DataError,
    ParameterError,
    require_choice,
    require_least,
    require_range,
    unknown,
)
from segkit.progress import steps
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Numbers = Floats | Ints
Convention = Literal["qini", "uplift"]
Strategy = Literal["overall", "by_group"]
CONVENTIONS = {
    "qini": "treated outcomes less the control's scaled to as many customers "
    "(Radcliffe 2007; scikit-uplift's qini_curve)",
    "uplift": "difference of the arms' means times the customers contacted "
    "(Gutierrez & Gérardy 2017; scikit-uplift's uplift_curve)",
}


@dataclass(frozen=True, slots=True)
class Sorted:
    """Customers by falling score, counted up to each distinct score.

    Attributes
    ----------
    contacted, treated, control : array
        Customers so far: all, treated, control.
    sum_treated, sum_control : array
        Outcomes so far.
    """

    contacted: Numbers
    treated: Numbers
    control: Numbers
    sum_treated: Numbers
    sum_control: Numbers

    def at(self, rows: slice | Ints) -> Sorted:
        """Return the counts at some of the customers."""
        counts = (self.contacted, self.treated, self.control, self.sum_treated, self.sum_control)
        return Sorted(*(count[rows] for count in counts))


def sort_by_score(
    outcome: Floats, score: Floats, treated: npt.NDArray[np.bool_], weight: Floats | None = None
) -> Sorted:
    """Count customers and outcomes cumulatively by falling score; equal scores form one point."""
    order = _falling(score)
    weights = np.ones(len(order)) if weight is None else weight[order]
    return _cumulate(outcome[order], treated[order], weights).at(_ends(score[order]))


def _falling(score: npt.NDArray[Any]) -> Ints:
    """Return the order of falling scores; of equal ones the last comes first."""
    order = np.argsort(score)  # in two thirds of a stable sort's time, and the same without ties
    in_order = score[order]
    if (in_order[1:] == in_order[:-1]).any():
        order = np.argsort(score, kind="stable")
    return order[::-1]


def _ends(score: Floats) -> slice | Ints:
    """Return where customers in order of their scores have the last of equal ones."""
    ends = np.flatnonzero(np.append(np.diff(score), 1.0))
    return slice(None) if len(ends) == len(score) else ends


def _cumulate(
    outcome: Numbers,
    treated: npt.NDArray[Any],
    weight: Numbers,
    into: npt.NDArray[Any] | None = None,
) -> Sorted:
    """Count customers in their order, one after another; ``into`` is memory to use again."""
    if into is None:
        into = np.empty((4, len(weight)), np.result_type(outcome, weight))
    contacted, ours, of_ours, of_theirs = into
    np.multiply(treated, weight, out=ours)
    np.multiply(outcome, ours, out=of_ours)
    np.multiply(outcome, weight, out=of_theirs)
    of_theirs -= of_ours
    for counts, so_far in ((weight, contacted), *((part, part) for part in into[1:])):
        np.cumsum(counts, out=so_far)
    return Sorted(contacted, ours, contacted - ours, of_ours, of_theirs)


def curve_points(ordered: Sorted, convention: str) -> tuple[Floats, Floats]:
    """Return the curve from (0, 0): customers contacted, and gain in outcomes.

    Raises
    ------
    ParameterError
        If the convention is unknown.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if convention == "qini":
            scaled = np.divide(ordered.treated, ordered.control)
            scaled[ordered.control <= 0] = 0.0
            scaled *= ordered.sum_control
            gain = np.subtract(ordered.sum_treated, scaled, out=scaled)
        elif convention == "uplift":
            ours = np.where(ordered.treated > 0, ordered.sum_treated / ordered.treated, 0.0)
            theirs = np.where(ordered.control > 0, ordered.sum_control / ordered.control, 0.0)
            gain = (ours - theirs) * ordered.contacted
        else:
            raise ParameterError(unknown("convention", convention, CONVENTIONS))
    return np.r_[0.0, ordered.contacted], np.r_[0.0, gain]


def over_random(x: Floats, y: Floats) -> float:
    """Return the area between a curve and the straight line to its last point, by trapezoids."""
    return float((np.diff(x) @ (y[1:] + y[:-1])) / 2) - float(x[-1] * y[-1] / 2)


def perfect(
    outcome: Floats, treated: npt.NDArray[np.bool_], convention: str, *, negative: bool
) -> tuple[Floats, Floats]:
    """Return the curve of a perfect model, which knows who would respond; for 0/1 outcomes only.

    Parameters
    ----------
    negative : bool
        Qini only. True: a contact may put customers off, and the perfect model contacts these last,
        so that its curve falls at the end. False: its curve rises to the total gain and stays.
    """
    t, y = treated.astype(np.float64), outcome
    if convention == "uplift":
        put_off = ((y == 1) & ~treated).sum()
        unmoved = ((y == 0) & treated).sum()
        score = 2.0 * (y == t) + (y if put_off > unmoved else t)
    else:
        score = y * t - y * (1 - t)
    if convention == "uplift" or negative:  # a stable sort of eight bits counts
        return curve_points(sort_by_score(y, score.astype(np.int8), treated), convention)
    n_control = float((~treated).sum())
    total = float(y[treated].sum()) - treated.sum() * float(y[~treated].sum()) / n_control
    end = float(len(y))
    return np.array([0.0, total, end]), np.array([0.0, total, total])


def compute_uplift_coefficient(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    convention: Convention = "qini",
    negative: bool = True,
) -> float:
    """Compute the Qini or uplift coefficient of a score, relative to a perfect score.

    The area between curve and random line over that of the perfect curve (0/1 outcomes), in
    scikit-uplift's conventions: ``qini_auc_score`` and ``uplift_auc_score``.

    Parameters
    ----------
    outcome, score, treated : array (n,)
        0/1 outcomes; a higher score is contacted first; 0/1 or Boolean treatment.
    convention : {"qini", "uplift"}
    negative : bool
        Qini only: whether the perfect score contacts last the customers whom a contact puts off
        (scikit-uplift's ``negative_effect``).

    Raises
    ------
    DataError
        If an arm is empty, lengths differ, or the outcome is not 0/1.

    Examples
    --------
    >>> round(compute_uplift_coefficient([1, 0, 0, 1], [4, 1, 3, 2], [1, 1, 0, 0]), 4)
    0.8333
    """
    y, s, t = checked(outcome, score, treated)
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("a coefficient relative to the perfect model needs a 0/1 outcome")
    ideal = over_random(*perfect(y, t, convention, negative=negative))
    mine = over_random(*curve_points(sort_by_score(y, s, t), convention))
    return mine / ideal if ideal else float("nan")


def estimate_uplift_at(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    share: float = 0.3,
    strategy: Strategy = "overall",
) -> float:
    """Estimate the effect among the customers with the highest scores.

    Parameters
    ----------
    outcome, score, treated : array (n,)
        As in `compute_uplift_curve`.
    share : float
        Share contacted, above 0 and at most 1.
    strategy : {"overall", "by_group"}
        "overall": the first ``int(n share)`` of all; "by_group": the first of each arm.

    Raises
    ------
    DataError
        If an arm has no customers in that share.

    Examples
    --------
    >>> float(estimate_uplift_at([1, 0, 0, 1], [4, 1, 3, 2], [1, 1, 0, 0], share=0.5))
    1.0
    """
    y, s, t = checked(outcome, score, treated)
    require_range("(0, 1]", share=share)
    order = _falling(s)
    y, t = y[order], t[order]
    if strategy == "overall":
        size = int(len(y) * share)
        ours, theirs = y[:size][t[:size]], y[:size][~t[:size]]
    elif strategy == "by_group":
        ours = y[t][: int(t.sum() * share)]
        theirs = y[~t][: int((~t).sum() * share)]
    else:
        raise ParameterError(unknown("strategy", strategy, get_args(Strategy)))
    if not len(ours) or not len(theirs):
        raise DataError(f"nobody of one arm is among the best {share:.0%}; take a larger share")
    return float(ours.mean() - theirs.mean())


def checked(
    outcome: npt.ArrayLike, score: npt.ArrayLike, treated: npt.ArrayLike
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return outcome, score and treatment as arrays, or raise an error if they are not valid.

    Raises
    ------
    DataError
        If lengths differ, a value is not finite, treatment is not 0 or 1, or an arm is empty.
    """
    y, s = np.asarray(outcome, dtype=np.float64), np.asarray(score, dtype=np.float64)
    raw = np.asarray(treated)
    if not len(y) == len(s) == len(raw):
        raise DataError(f"lengths differ: outcome {len(y)}, score {len(s)}, treated {len(raw)}")
    if not np.isfinite(y).all() or not np.isfinite(s).all():
        raise DataError("outcomes and scores must be finite")
    if not np.isin(raw, (0, 1)).all():
        raise DataError("treated must hold 0 and 1 (or false and true) only")
    t = raw.astype(bool)
    if t.all() or not t.any():
        raise DataError("one arm alone shows no uplift: both treated and control are needed")
    return y, s, t


_GRID = 50  # points of the drawn curve
# Above so many customers, 0/1 outcomes are resampled by blocks of similar scores.
_ROWS, _BLOCKS = 20_000, 1_000
SHARES = (0.1, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class UpliftCurve(Result):
    """Uplift or Qini curve: gain from contacting the customers with the highest scores.

    Attributes
    ----------
    points : polars.DataFrame
        contacted_share, gain per customer of all (with low and high), random (the straight line).
    at : polars.DataFrame
        contacted_share, uplift (effect among those, "overall" strategy) with low and high.
    coefficient : float
        Area between curve and random line over the perfect one's (0/1 outcomes; else NaN), with
        limits ``coefficient_low``, ``coefficient_high``: those of the area, by bootstrap, over
        the perfect area, which is taken as given.
    advantage, advantage_low, advantage_high : float
        Area between curve and random line, per customer, on a unit axis: the mean gain over
        random contacts if the share to contact were drawn at random. For any outcome.
    convention : str
    name : str
        The outcome in words.
    is_share : bool
    customers, repeats : int
    level : float
    """

    points: pl.DataFrame
    at: pl.DataFrame
    coefficient: float
    coefficient_low: float
    coefficient_high: float
    advantage: float
    advantage_low: float
    advantage_high: float
    convention: str
    name: str
    is_share: bool
    customers: int
    repeats: int
    level: float

    @property
    def ranks_customers(self) -> bool:
        """Whether the scores rank customers better than chance."""
        return self.advantage_low > 0

    @property
    def text(self) -> str:
        """The finding in words."""
        verdict = (
            "The scores find customers whom the contact moves more than others"
            if self.ranks_customers
            else "The scores are not shown to order customers better than chance"
        )
        if self.is_share:
            measure, value, scale = "coefficient", self.coefficient, "1 for a perfect score, "
            low, high = self.coefficient_low, self.coefficient_high
        else:
            measure, value, scale = "area over chance", self.advantage, ""
            low, high = self.advantage_low, self.advantage_high
        size = f"{number(value)}{'' if self.is_share else ' per customer'}"
        interval = ci_words(low, high, self.level)
        return (
            f"{verdict}: {self.convention.capitalize()} {measure} of {self.name} {size} "
            f"({interval}; {scale}0 for chance). "
            f"Convention: {CONVENTIONS[self.convention]}."
        )

    def plot(self) -> Figure:
        """Draw gain over the share contacted, with its band and the line of random contacts."""
        from segkit.plot import lines

        share = pl.col("contacted_share") * 100
        none = pl.lit(None, dtype=pl.Float64)
        best = self.points.select("gain", "low", "high", contacted=share)
        random = self.points.select(gain="random", low=none, high=none, contacted=share)
        ranks = "" if self.ranks_customers else "are not shown to "
        return lines(
            pl.concat(
                [
                    best.with_columns(order=pl.lit("best scores first")),
                    random.with_columns(order=pl.lit("at random")),
                ]
            ),
            "contacted",
            "gain",
            group="order",
            band=("low", "high"),
            percent=self.is_share,
            markers=False,
            title=f"The scores {ranks}order customers by effect",
            x_label="Contacted, % of the customers",
            y_label=f"Gain in {self.name} per customer of all",
        )


def compute_uplift_curve(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    convention: Convention = "qini",
    repeats: int = 200,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    name: str = "the outcome",
    strata: npt.ArrayLike | None = None,
) -> UpliftCurve:
    """Compute the uplift or Qini curve of a score, with pointwise bootstrap limits.

    Customers are resampled, scores are not fitted again: the limits leave out the uncertainty of
    fitting them.

    The scores must come from models that were not fitted to these customers' outcomes (as in
    `fit_uplift`); the treatment must have been assigned at random.

    Parameters
    ----------
    outcome, score, treated : array (n,)
        0/1 or continuous outcomes; a higher score is contacted first; 0/1 or Boolean treatment.
    convention : {"qini", "uplift"}
        See `segkit.lift.CONVENTIONS`. Gains of both are drawn per customer of all; the
        Qini's, counted over the treated alone, is divided by their number.
    repeats : int
        Bootstrap resamples of customers within arms; at least 50. For more than 20,000 customers
        with 0/1 outcomes the resampled curve is followed at 1,000 points instead of at each
        customer.
    level, seed
    name : str
        The outcome in words.
    strata : array (n,), optional
        Groups, besides the arms, within which customers are resampled (folds of cross-fitting).

    Returns
    -------
    UpliftCurve

    Raises
    ------
    DataError, ParameterError
        If an arm is empty, a value not finite, a name unknown, or there are too few repeats.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, t = rng.random(1000), rng.random(1000) < 0.5
    >>> y = rng.random(1000) < 0.1 + 0.2 * x * t
    >>> round(compute_uplift_curve(y, x, t).coefficient, 8)
    0.14678604
    """
    y, s, t = checked(outcome, score, treated)
    require_choice("convention", convention, CONVENTIONS)
    require_least(repeats=(repeats, 50))
    binary = bool(np.isin(y, (0.0, 1.0)).all())
    per = float(len(y)) if convention == "uplift" else float(t.sum())
    grid = np.linspace(0, 1, _GRID + 1)
    layer = np.zeros(len(y)) if strata is None else np.asarray(strata)
    order = _falling(s)
    y, s, t, layer = y[order], s[order], t[order], layer[order]
    last = _ends(s)

    worth = y.astype(np.int64) if binary else y  # whole numbers are added faster
    ours = t.astype(np.int64)

    def trace(counts: Sorted, ends: slice | Ints) -> tuple[Floats, float, Floats]:
        x, gain = curve_points(counts.at(ends), convention)
        x /= x[-1]
        gain /= per
        return np.interp(grid, x, gain), over_random(x, gain), _at(counts)

    gain, advantage, at = trace(_cumulate(worth, ours, np.ones(len(y), np.int64)), last)
    # The perfect curve is not resampled: the interval covers the numerator's variance.
    ideal = over_random(*perfect(y, t, convention, negative=True)) if binary else 0.0
    own = advantage * per * len(y) / ideal if ideal else float("nan")
    if binary and len(y) > _ROWS:
        drawn = [
            trace(counts, slice(None))
            for counts in _block_resamples(y.astype(np.int64), ours, layer, last, repeats, seed)
        ]
    else:
        into = np.empty((4, len(y)), worth.dtype)
        drawn = [
            trace(_cumulate(worth, ours, weight, into), last)
            for weight in _resamples(layer, t, repeats, seed)
        ]
    drawn_gain, drawn_area, drawn_at = (np.array(part) for part in zip(*drawn, strict=True))
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(drawn_gain, tails, axis=0)
    area_low, area_high = np.quantile(drawn_area, tails)
    # If an arm is empty in a share, there is no effect. Such rare draws are ignored in the limits.
    at_low, at_high = np.array([_limits(column, tails) for column in drawn_at.T]).T
    scale = own / advantage if advantage else float("nan")
    ends = sorted((area_low * scale, area_high * scale))
    points = pl.DataFrame(
        {"contacted_share": grid, "gain": gain, "low": low, "high": high, "random": grid * gain[-1]}
    )
    ats = pl.DataFrame({"contacted_share": SHARES, "uplift": at, "low": at_low, "high": at_high})
    return UpliftCurve(
        points,
        ats,
        own,
        float(ends[0]),
        float(ends[1]),
        advantage,
        float(area_low),
        float(area_high),
        convention,
        name,
        binary,
        len(y),
        repeats,
        level,
    )


def _resamples(
    layer: npt.NDArray[Any],
    treated: npt.NDArray[np.bool_],
    repeats: int,
    seed: int | np.random.Generator,
) -> Iterator[Ints]:
    """Yield how often each customer is drawn, within layers and arms; the array is used again."""
    rng = np.random.default_rng(seed)
    cells = [(layer == k) & (treated == arm) for k in np.unique(layer) for arm in (False, True)]
    groups = [np.flatnonzero(cell) for cell in cells if cell.any()]
    weight = np.zeros(len(treated), np.int64)
    for _ in steps(range(repeats), "resamples of the customers"):
        for rows in groups:
            weight[rows] = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        yield weight


def _block_resamples(
    outcome: Ints,
    treated: Ints,
    layer: npt.NDArray[Any],
    last: slice | Ints,
    repeats: int,
    seed: int | np.random.Generator,
) -> Iterator[Sorted]:
    """Yield the counts of resamples at the ends of blocks of customers with similar scores.

    With 0/1 outcomes they depend only on how many customers of each block and outcome are drawn
    within a layer and arm. These numbers are multinomial, so nobody needs to be drawn singly.
    """
    rng = np.random.default_rng(seed)
    ends = np.arange(len(outcome))[last]
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, _BLOCKS + 1)[1:].astype(np.int64))]
    block = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    layers, group = np.unique(layer, return_inverse=True)
    cell = ((group * 2 + treated) * len(ends) + block) * 2 + outcome
    table = np.bincount(cell, minlength=4 * len(layers) * len(ends))
    drawn = np.zeros((repeats, 2, len(ends), 2), np.int64)
    for place, cells in enumerate(table.reshape(2 * len(layers), -1)):
        if size := cells.sum():
            counts = rng.multinomial(size, cells / size, size=repeats)
            drawn[:, place % 2] += counts.reshape(repeats, len(ends), 2)
    for control, ours in steps(drawn.cumsum(axis=2), "resamples of the customers"):
        sizes = ours.sum(axis=1), control.sum(axis=1)
        yield Sorted(sizes[0] + sizes[1], *sizes, ours[:, 1], control[:, 1])


def _limits(values: Floats, tails: list[float]) -> Floats:
    finite = values[np.isfinite(values)]
    return np.quantile(finite, tails) if len(finite) else np.full(2, np.nan)


def _at(counts: Sorted) -> Floats:
    """Return the effect among the first shares of customers."""
    most = np.floor(counts.contacted[-1] * np.array(SHARES) + 1e-9)
    ours, theirs, sum_ours, sum_theirs = (
        np.interp(most, counts.contacted, each, left=np.nan)
        for each in (counts.treated, counts.control, counts.sum_treated, counts.sum_control)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sum_ours / ours - sum_theirs / theirs)
