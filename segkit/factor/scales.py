"""Scales: reliability of their items, and respondents' mean scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, ParameterError, require_choice
from segkit.factor.answers import Floats, read_answers, read_range
from segkit.factor.correlation import moments
from segkit.factor.extraction import extract
from segkit.factor.model import FactorModel
from segkit.factor.rotation import rotate, slug
from segkit.frames import takes_frames
from segkit.plot import Figure, intervals
from segkit.result import Result
from segkit.stats.intervals import Estimate, ci_words, estimate
from segkit.stats.threads import single_thread

GROUPS = 3  # group factors under the general one, as in R's psych
FIGURES = ("alpha", "alpha_low", "alpha_high", "omega_total", "omega_hierarchical", "mean_r")
USABLE = 0.7  # Nunnally (1978)


def raw_alpha(covariance: Floats) -> float:
    """Give Cronbach's alpha of a covariance matrix, NaN where the sum does not vary."""
    k, total = len(covariance), float(covariance.sum())
    if total <= 0:
        return float("nan")
    return k / (k - 1) * (1 - float(np.trace(covariance)) / total)


def alpha(covariance: Floats, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate Cronbach's alpha from a covariance matrix, with Feldt's (1965) interval.

    ``(1 - alpha) / (1 - estimate)`` is distributed as F with ``n - 1`` and ``(n - 1)(k - 1)``
    degrees of freedom.

    Examples
    --------
    >>> round(alpha(np.array([[1.0, 0.5], [0.5, 1.0]]), 100).value, 3)
    0.667
    """
    from scipy.special import fdtri

    value = raw_alpha(covariance)
    one, two = n - 1, (n - 1) * (len(covariance) - 1)
    low = 1 - (1 - value) * float(fdtri(one, two, (1 + level) / 2))
    high = 1 - (1 - value) * float(fdtri(one, two, (1 - level) / 2))
    return estimate(value, low, high, level, "Feldt")


def omega(r: Floats) -> tuple[float, float | None]:
    """Give omega total and, from six items on, omega hierarchical.

    Returns
    -------
    tuple of float and (float or None)
        NaN where an item follows from the others, so that no factor model can be fitted.

    Examples
    --------
    >>> total, hierarchical = omega(np.eye(3) * 0.5 + 0.5)
    >>> round(total, 2), hierarchical
    (0.75, None)
    """
    p = len(r)
    if p < 3:
        return raw_alpha(r), None
    if np.linalg.matrix_rank(r, hermitian=True) < p:
        return float("nan"), None  # an item follows from the others: no item has a part of its own
    if p < 2 * GROUPS:
        unique = extract(r, 1).uniquenesses
        return 1 - float(unique.sum() / r.sum()), None
    fitted = extract(r, GROUPS)
    turned = rotate(fitted.loadings, "oblimin")
    signs = _signs(turned.phi)
    second = extract(turned.phi * np.outer(signs, signs), 1).loadings[:, 0]
    general = (turned.loadings * signs) @ second
    total = float(r.sum())
    return 1 - float(fitted.uniquenesses.sum()) / total, float(general.sum()) ** 2 / total


def _signs(phi: Floats) -> Floats:
    """Return the sign of each factor that makes the factors point in one direction.

    A factor is reversed where its weight in the first principal component of ``phi`` has the
    other sign than the sum of all weights.
    """
    axis = np.linalg.eigh(phi)[1][:, -1]
    return np.where(axis * np.sign(axis.sum() or 1.0) < 0, -1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability(Result):
    """Reliability of scales.

    Attributes
    ----------
    scales : polars.DataFrame
        One row per scale: ``scale``, ``items`` (their number), ``people``, ``alpha``,
        ``alpha_low``, ``alpha_high``, ``omega_total``, ``omega_hierarchical`` (null below 6
        items), ``mean_r``; null where the sum of a scale's items does not vary.
    items : polars.DataFrame
        One row per item: ``scale``, ``item``, ``reversed``, ``item_rest_r`` (correlation with the
        sum of the others), ``alpha_if_dropped`` (null in a scale of two).
    level : float
        Of alpha's interval.
    """

    scales: pl.DataFrame
    items: pl.DataFrame
    level: float

    @property
    def answer(self) -> str:
        """Reliability of the loosest scale, which is what comparisons must allow for."""
        ranked = self.scales.drop_nulls("alpha").sort("alpha")
        if ranked.is_empty():
            return "Not known: no scale's items vary together."
        row = ranked.row(0, named=True)
        return (
            f"At worst alpha {number(row['alpha'])} "
            f"({ci_words(row['alpha_low'], row['alpha_high'], self.level)}), for {row['scale']}; "
            f"{USABLE} is enough to compare groups."
        )

    @property
    def text(self) -> str:
        """Say how reliable each scale is, and which items weaken theirs."""
        values = [
            f"{r['scale']} {number(r['alpha'])} ({number(r['alpha_low'])} to "
            f"{number(r['alpha_high'])})"
            for r in self.scales.drop_nulls("alpha").iter_rows(named=True)
        ]
        unknown_ones = self.scales.filter(pl.col("alpha").is_null())["scale"].to_list()
        values += [f"{name} unknown (its items do not vary together)" for name in unknown_ones]
        low = self.scales.filter(pl.col("alpha") < USABLE)["scale"].to_list()
        verdict = (
            f"Below {USABLE}, too loose to compare single people: {join_words(low)}."
            if low
            else f"{'The others' if unknown_ones else 'All'} reach {USABLE}, enough to compare "
            "groups."
        )
        better = self.items.join(self.scales.select("scale", "alpha"), on="scale").filter(
            pl.col("alpha_if_dropped") > pl.col("alpha") + 0.005
        )
        level = percent(self.level, places=0)
        if len(unknown_ones) == self.scales.height:
            verdict = "Nothing is known of their reliability."
        parts = [f"Reliability (alpha, {level} interval): {join_words(values)}.", verdict]
        if better.height:
            parts.append(f"A scale would gain without {join_words(better['item'].to_list())}.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw each scale's alpha with its interval."""
        return intervals(
            self.scales,
            "scale",
            "alpha",
            interval=("alpha_low", "alpha_high"),
            reference=USABLE,
            title="Reliability of the scales",
            y_label=f"Cronbach's alpha (dashed: {USABLE}, enough for groups)",
        )


@single_thread()
@takes_frames
def estimate_reliability(
    frame: pl.DataFrame,
    scales: Mapping[str, Sequence[str]] | Sequence[str],
    *,
    reverse: Iterable[str] = (),
    level: float = 0.95,
) -> Reliability:
    """Estimate the reliability of scales: alpha, alpha if an item is dropped, omega.

    Alpha from pairwise covariances, its interval by Feldt (1965); omega total
    ``1 - sum(uniqueness) / sum(R)`` and omega hierarchical ``(sum of general loadings)^2 / sum(R)``
    by Schmid & Leiman's transformation of three oblimin factors (McDonald 1999; Zinbarg et al.
    2005), one factor below six items.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per respondent.
    scales : mapping of str to sequence of str, or sequence of str
        Scale to its items (see `derive_scales`); a sequence is one scale.
    reverse : iterable of str
        Items worded the other way round.
    level : float

    Raises
    ------
    DataError
        If a scale has fewer than two items, or its items vary too little.
    ColumnError, ParameterError
        For unknown or non-numeric items, or a reversed item that no scale has.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 2, 3, 4, 5], "b": [5, 3, 3, 2, 1]})
    >>> round(estimate_reliability(frame, ["a", "b"], reverse=["b"]).scales["alpha"][0], 2)
    0.98
    """
    named, turned = _read_scales(scales, reverse)
    rows, item_rows = [], []
    for scale, items in named.items():
        answers = read_answers(frame, items)
        signs = np.array([-1.0 if item in turned else 1.0 for item in items])
        sums = moments(answers.values)
        covariance, r = (m * np.outer(signs, signs) for m in (sums.covariance, sums.correlation))
        n = int((~np.isnan(answers.values)).any(axis=1).sum())
        value = alpha(covariance, n, level=level)
        mean_r = float(r[np.triu_indices(len(items), 1)].mean())
        figures = [value.value, value.low, value.high, *omega(r), mean_r]
        rows.append([scale, len(items), n, *figures])
        item_rows += _items(scale, items, turned, covariance)
    kinds = {"scale": pl.String, "items": pl.Int64, "people": pl.Int64}
    kinds |= dict.fromkeys(FIGURES, pl.Float64)
    item_kinds = {"scale": pl.String, "item": pl.String, "reversed": pl.Boolean}
    item_kinds |= dict.fromkeys(("item_rest_r", "alpha_if_dropped"), pl.Float64)
    # Null where nothing can be computed: polars sorts NaN above every number.
    return Reliability(
        pl.DataFrame(rows, schema=kinds, orient="row").fill_nan(None),
        pl.DataFrame(item_rows, schema=item_kinds, orient="row").fill_nan(None),
        level,
    )


def _read_scales(
    scales: Mapping[str, Sequence[str]] | Sequence[str], reverse: Iterable[str]
) -> tuple[dict[str, list[str]], set[str]]:
    """Return each scale's items, and the items that are worded the other way round."""
    given = scales if isinstance(scales, Mapping) else {"scale": scales}
    named = {name: list(items) for name, items in given.items()}
    for name, items in named.items():
        if len(items) < 2:
            raise DataError(f"scale {name!r} has {counted(len(items), 'item')}; two are needed")
    turned = set(reverse)
    for item in sorted(turned):
        require_choice(
            "reversed item", item, sorted({i for items in named.values() for i in items})
        )
    return named, turned


def _items(
    scale: str, items: Sequence[str], turned: set[str], covariance: Floats
) -> list[tuple[str, str, bool, float, float | None]]:
    rows = []
    for i, item in enumerate(items):
        rest = [j for j in range(len(items)) if j != i]
        part = covariance[np.ix_(rest, rest)]
        joint = covariance[i, rest].sum() / np.sqrt(covariance[i, i] * max(part.sum(), 1e-300))
        dropped = raw_alpha(part) if len(rest) > 1 else None
        rows.append((scale, item, item in turned, float(joint), dropped))
    return rows


def derive_scales(model: FactorModel) -> tuple[dict[str, list[str]], list[str]]:
    """Derive scales from a factor model: each factor's markers, reversed where negative.

    Returns
    -------
    scales : dict of str to list of str
        Factor name to its markers; factors with fewer than two are left out.
    reverse : list of str
        Markers with a negative loading.
    """
    marks_of = {name: model.markers(j) for j, name in enumerate(model.names)}
    marks_of = {name: marks for name, marks in marks_of.items() if len(marks) > 1}
    scales = {name: [m.item for m in marks] for name, marks in marks_of.items()}
    return scales, [m.item for marks in marks_of.values() for m in marks if m.loading < 0]


@takes_frames
def score_scales(
    frame: pl.DataFrame,
    scales: Mapping[str, Sequence[str]] | Sequence[str],
    *,
    reverse: Iterable[str] = (),
    answers: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
) -> pl.DataFrame:
    """Score each respondent on each scale, in units of the answers.

    The score is the mean of the non-missing answers. Reversed items count as ``low + high -
    answer``. A respondent with fewer than half of a scale's items gets null. ``low`` and ``high``
    are the possible answers of the questionnaire; observed answers may not reach them.

    Parameters
    ----------
    frame : polars.DataFrame
        ``customer_id`` is carried over if there.
    scales : mapping of str to sequence of str, or sequence of str
        A sequence is one scale.
    reverse : iterable of str
    answers : (float, float) or mapping of str to (float, float), optional
        Lowest and highest possible answer, of all items or of each (see `read_answer_ranges`).
        Needed for every reversed item.

    Returns
    -------
    polars.DataFrame
        Columns ``scale_…`` after the scales' names.

    Raises
    ------
    ParameterError
        If an item is reversed whose range of answers is not stated.
    DataError
        If an answer lies outside the stated range, or nobody answered a scale.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [1, 5], "b": [5, 2]})
    >>> scores = score_scales(frame, {"thrift": ["a", "b"]}, reverse=["b"], answers=(1, 5))
    >>> scores["scale_thrift"].to_list()
    [1.0, 4.5]
    """
    named, turned = _read_scales(scales, reverse)
    columns = [frame.get_column("customer_id")] if "customer_id" in frame.columns else []
    for name, items in named.items():
        values = read_answers(frame, items, check=False).values.copy()
        if np.isnan(values).all():
            raise DataError(f"nobody answered any item of scale {name!r}")
        for place, item in enumerate(items):
            ends = read_range(item, values[:, place], answers)
            if item not in turned:
                continue
            if ends is None:
                raise ParameterError(
                    f"item {item!r} is reversed, and its range of answers is not stated: expected "
                    "answers=(lowest, highest) as offered to respondents, such as answers=(1, 5)"
                )
            values[:, place] = sum(ends) - values[:, place]
        there = (~np.isnan(values)).sum(axis=1)
        sums = np.nansum(values, axis=1)
        mean = np.where(there * 2 >= len(items), sums / np.maximum(there, 1), np.nan)
        columns.append(pl.Series(f"scale_{slug(name)}", mean, nan_to_null=True))
    return pl.DataFrame(columns)
