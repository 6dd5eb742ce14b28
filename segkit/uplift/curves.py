"""Points of uplift and Qini curves, by named conventions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError, ParameterError, unknown

Floats = npt.NDArray[np.float64]
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

    contacted: Floats
    treated: Floats
    control: Floats
    sum_treated: Floats
    sum_control: Floats


def sort_by_score(
    outcome: Floats, score: Floats, treated: npt.NDArray[np.bool_], weight: Floats | None = None
) -> Sorted:
    """Count customers and outcomes down the list; customers of equal score come together."""
    order = np.argsort(score, kind="stable")[::-1]
    y, s = outcome[order], score[order]
    w = np.ones(len(y)) if weight is None else weight[order]
    t = treated[order] * w
    ends = np.r_[np.flatnonzero(np.diff(s)), len(s) - 1]
    contacted, mine = np.cumsum(w)[ends], np.cumsum(t)[ends]
    return Sorted(
        contacted, mine, contacted - mine, np.cumsum(y * t)[ends], np.cumsum(y * (w - t))[ends]
    )


def curve_points(found: Sorted, convention: str) -> tuple[Floats, Floats]:
    """Return the curve from (0, 0): customers contacted, and gain in outcomes.

    Raises
    ------
    ParameterError
        If the convention is unknown.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if convention == "qini":
            scaled = np.where(found.control > 0, found.treated / found.control, 0.0)
            gain = found.sum_treated - found.sum_control * scaled
        elif convention == "uplift":
            ours = np.where(found.treated > 0, found.sum_treated / found.treated, 0.0)
            theirs = np.where(found.control > 0, found.sum_control / found.control, 0.0)
            gain = (ours - theirs) * found.contacted
        else:
            raise ParameterError(unknown("convention", convention, CONVENTIONS))
    return np.r_[0.0, found.contacted], np.r_[0.0, gain]


def area(x: Floats, y: Floats) -> float:
    """Return the area under a line through points, by trapezoids."""
    return float(np.trapezoid(y, x))


def over_random(x: Floats, y: Floats) -> float:
    """Return the area between a curve and the straight line to its end."""
    return area(x, y) - float(x[-1] * y[-1] / 2)


def perfect(
    outcome: Floats, treated: npt.NDArray[np.bool_], convention: str, *, negative: bool
) -> tuple[Floats, Floats]:
    """Return the curve of a model that knows who would answer; for 0/1 outcomes only.

    Parameters
    ----------
    negative : bool
        Qini only: whether a contact may put customers off (else the perfect curve goes straight
        up to the total gain and stays).
    """
    t, y = treated.astype(np.float64), outcome
    if convention == "uplift":
        put_off = ((y == 1) & ~treated).sum()
        unmoved = ((y == 0) & treated).sum()
        score = 2.0 * (y == t) + (y if put_off > unmoved else t)
        return curve_points(sort_by_score(y, score, treated), convention)
    if negative:
        return curve_points(sort_by_score(y, y * t - y * (1 - t), treated), convention)
    n_control = float((~treated).sum())
    total = float(y[treated].sum()) - treated.sum() * float(y[~treated].sum()) / n_control
    end = float(len(y))
    return np.array([0.0, total, end]), np.array([0.0, total, total])


def coefficient(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    convention: str = "qini",
    negative: bool = True,
) -> float:
    """How much better than at random does a score order customers, as a share of the perfect?

    The area between curve and random line over that of the perfect curve (0/1 outcomes), in
    scikit-uplift's conventions: ``qini_auc_score`` and ``uplift_auc_score``.

    Parameters
    ----------
    outcome, score, treated : array (n,)
        0/1 outcomes; a higher score is contacted first; 0/1 or Boolean treatment.
    convention : {"qini", "uplift"}
    negative : bool
        See `perfect` (scikit-uplift's ``negative_effect``).

    Raises
    ------
    DataError
        If an arm is empty, lengths differ, or the outcome is not 0/1.

    Examples
    --------
    >>> round(coefficient([1, 0, 0, 1], [4, 1, 3, 2], [1, 1, 0, 0]), 4)
    0.8333
    """
    y, s, t = checked(outcome, score, treated)
    if not np.isin(y, (0.0, 1.0)).all():
        raise DataError("a coefficient relative to the perfect model needs a 0/1 outcome")
    ideal = over_random(*perfect(y, t, convention, negative=negative))
    mine = over_random(*curve_points(sort_by_score(y, s, t), convention))
    return mine / ideal if ideal else float("nan")


def uplift_at(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    share: float = 0.3,
    strategy: str = "overall",
) -> float:
    """What is the effect among the best share of customers, by score?

    Parameters
    ----------
    share : float
        Share contacted, above 0 and at most 1.
    strategy : {"overall", "by_group"}
        "overall": the first ``int(n share)`` of all; "by_group": the first of each arm.

    Raises
    ------
    DataError
        If an arm has nobody in that share.

    Examples
    --------
    >>> float(uplift_at([1, 0, 0, 1], [4, 1, 3, 2], [1, 1, 0, 0], share=0.5))
    1.0
    """
    y, s, t = checked(outcome, score, treated)
    if not 0 < share <= 1:
        raise ParameterError(f"share must lie above 0 and at most at 1, got {share}")
    order = np.argsort(s, kind="stable")[::-1]
    y, t = y[order], t[order]
    if strategy == "overall":
        size = int(len(y) * share)
        ours, theirs = y[:size][t[:size]], y[:size][~t[:size]]
    elif strategy == "by_group":
        ours = y[t][: int(t.sum() * share)]
        theirs = y[~t][: int((~t).sum() * share)]
    else:
        raise ParameterError(unknown("strategy", strategy, ["overall", "by_group"]))
    if not len(ours) or not len(theirs):
        raise DataError(f"nobody of one arm is among the best {share:.0%}; take a larger share")
    return float(ours.mean() - theirs.mean())


def checked(
    outcome: npt.ArrayLike, score: npt.ArrayLike, treated: npt.ArrayLike
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return outcome, score and treatment as arrays, or say what is wrong with them.

    Raises
    ------
    DataError
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
