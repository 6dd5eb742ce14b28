"""Multivariate tests: effect of each contrast of a factorial design, by least squares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least, unknown
from segkit.frames import takes_frames
from segkit.lift.effects import FEW, KPIS, Kpi
from segkit.lift.outcomes import Outcomes
from segkit.lift.requirements import read_test
from segkit.lift.wording import gap
from segkit.result import Figure, Result
from segkit.stats.hypotheses import adjust, t_p_value
from segkit.stats.least_squares import Design, Fit, fit_least_squares

Array = npt.NDArray[np.float64]
CONTROL = "\x1fcontrol"  # column with the control's name; null for the treated
_ANY = "any treatment"


class Layout:
    """Coded design: columns of each contrast, and the group of each row.

    Factors and blocks are effect coded: a factor of two levels is -1 or 1, and 0 for the control.
    The table has one row per combination that occurs; ``groups`` says which one a customer has.

    Parameters
    ----------
    parts : DataFrame
        The factors as strings, `CONTROL`, and the blocks; one row per customer.
    factors : list of str
    interactions : int
        Highest number of factors in an interaction.
    blocks : list of str

    Raises
    ------
    DataError
        If a factor has one level only.
    """

    def __init__(
        self, parts: pl.DataFrame, factors: list[str], interactions: int, blocks: list[str]
    ) -> None:
        treated = parts.filter(pl.col(CONTROL).is_null())
        self.levels = {f: treated[f].unique().sort().to_list() for f in factors}
        alone = [name for name, values in self.levels.items() if len(values) < 2]
        if alone:
            raise DataError(
                f"expected at least two levels of each factor; one level only: {', '.join(alone)}"
            )
        kinds = parts.select(*factors, CONTROL, *(pl.col(b).alias(f"block {b}") for b in blocks))
        distinct = kinds.unique(maintain_order=True).sort(kinds.columns, nulls_last=True)
        keyed = kinds.join(
            distinct.with_row_index("group"),
            on=kinds.columns,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        self.groups = keyed["group"].cast(pl.Int64).to_numpy()
        self.size = np.bincount(self.groups, minlength=distinct.height).astype(float)
        self.distinct, self.factors = distinct, factors
        self.codes = {f: _coded(distinct[f], self.levels[f]) for f in factors}
        columns: list[Array] = [np.ones((distinct.height, 1))]
        self.terms: dict[tuple[str, ...], list[int]] = {}
        names = distinct[CONTROL].drop_nulls().to_list()
        self.control: str | None = names[0] if names else None
        if self.control is not None:
            columns.append(distinct[CONTROL].is_null().cast(pl.Float64).to_numpy()[:, None])
            self.terms[()] = [1]
        for order in range(1, interactions + 1):
            for members in combinations(factors, order):
                coded = self.codes[members[0]]
                for name in members[1:]:
                    coded = (coded[:, :, None] * self.codes[name][:, None, :]).reshape(
                        distinct.height, -1
                    )
                first = sum(part.shape[1] for part in columns)
                self.terms[members] = list(range(first, first + coded.shape[1]))
                columns.append(coded)
        self.needed = sum(part.shape[1] for part in columns)
        self.blocks: dict[str, list[int]] = {}
        for name in blocks:
            values = distinct[f"block {name}"].cast(pl.String)
            coded = _coded(values, values.unique().sort().to_list())
            first = sum(part.shape[1] for part in columns)
            self.blocks[name] = list(range(first, first + coded.shape[1]))
            columns.append(coded - (self.size @ coded) / self.size.sum())
        self.table = np.hstack(columns)

    def words(self, term: tuple[str, ...]) -> str:
        """Name a contrast."""
        names = [name.replace("_", " ") for name in term]
        if not term:
            return f"{_ANY} against {self.control}"
        if len(term) == 1 and len(self.levels[term[0]]) == 2:
            first, second = self.levels[term[0]]
            return f"{names[0]} {second} against {first}"
        return " with ".join(names)

    def refuse_aliased(self) -> None:
        """Raise an error if a contrast is aliased with others, and name them."""
        rank = np.linalg.matrix_rank(self.table)
        for term, columns in reversed(self.terms.items()):  # interactions first
            rest = np.delete(self.table, columns, axis=1)
            if rank - np.linalg.matrix_rank(rest) == len(columns):
                continue
            with_it = [
                self.words(other)
                for other, places in self.terms.items()
                if other != term and self._entangled(columns, places)
            ]
            with_it += [
                f"block {name}"
                for name, places in self.blocks.items()
                if self._entangled(columns, places)
            ]
            raise DataError(
                f"the contrast {self.words(term)!r} cannot be told apart from "
                f"{', '.join(with_it)}: {self._missing()}. Assign every combination, or ask for "
                "fewer interactions"
            )

    def _entangled(self, one: list[int], two: list[int]) -> bool:
        """Return whether a linear combination that is zero contains columns of both contrasts."""
        _, sizes, rows = np.linalg.svd(self.table, full_matrices=True)
        none = rows[int((sizes > 1e-9 * sizes.max()).sum()) :]
        shared = none[:, one].T @ none[:, two]
        return bool(np.abs(shared).max(initial=0.0) > 1e-9)

    def empty_cells(self) -> list[str]:
        """Return the combinations that no customer has, in words."""
        filled = set(self.distinct.filter(pl.col(CONTROL).is_null()).select(self.factors).rows())
        return [
            " and ".join(f"{f} {v}" for f, v in zip(self.factors, names, strict=True))
            for names in product(*self.levels.values())
            if names not in filled
        ]

    def _missing(self) -> str:
        empty = self.empty_cells()
        if not empty:
            return "its levels go with those of the others for every customer"
        more = f" (and {number(len(empty) - 3)} more)" if len(empty) > 3 else ""
        return f"no customer has {', or '.join(empty[:3])}{more}"

    def sides(self, term: tuple[str, ...]) -> Array:
        """Return, for each row of the table, which of a contrast's groups it is in; -1 for none."""
        if not term:
            return np.where(self.distinct[CONTROL].is_null().to_numpy(), 1, 0)
        treated = self.distinct[CONTROL].is_null().to_numpy()
        columns = self.terms[term]
        if len(columns) == 1:
            return np.where(treated, (self.table[:, columns[0]] > 0).astype(int), -1)
        places = np.zeros(len(treated), dtype=int)
        for name in term:
            order = {value: i for i, value in enumerate(self.levels[name])}
            own = np.array([order.get(value, 0) for value in self.distinct[name]])
            places = places * len(order) + own
        return np.where(treated, places, -1)

    def means(self, fit: Fit, buyers: npt.NDArray[np.bool_], level: float) -> pl.DataFrame:
        """Return the levels' least-squares means with their intervals."""
        from scipy.special import stdtrit

        bought = np.bincount(self.groups, weights=buyers, minlength=len(self.size))
        reach = float(stdtrit(fit.freedom, (1 + level) / 2))
        rows = []
        for name, values in self.levels.items():
            for place, value in enumerate(values):
                weights = np.zeros(len(fit.coefficients))
                weights[[0, *self.terms.get((), [])]] = 1.0
                weights[self.terms[(name,)]] = _code(place, len(values))
                mean = float(weights @ fit.coefficients)
                error = math.sqrt(max(float(weights @ fit.covariance @ weights), 0.0))
                own = (self.distinct[name] == value).fill_null(value=False).to_numpy()
                counts = int(self.size[own].sum()), int(bought[own].sum())
                limits = mean - reach * error, mean + reach * error
                rows.append((name, value, *counts, mean, *limits))
        schema = ["factor", "level", "customers", "buyers", "value", "low", "high"]
        return pl.DataFrame(rows, schema=schema, orient="row")


def _code(place: int, levels: int) -> Array:
    """Return a level's effect coding: -1 in all columns for the first, else 1 in its own."""
    return -np.ones(levels - 1) if place == 0 else np.eye(levels)[place, 1:]


def _coded(values: pl.Series, levels: list[str]) -> Array:
    """Return a column's effect coding; zeros where it is null."""
    codes = {level: _code(place, len(levels)) for place, level in enumerate(levels)}
    none = np.zeros(len(levels) - 1)
    return np.array([codes.get(value, none) for value in values]).reshape(len(values), -1)


@dataclass(frozen=True, slots=True, eq=False)
class Factorial(Result):
    """Contrasts of a multivariate test.

    Attributes
    ----------
    table : DataFrame
        One row per contrast: effect (words), factors, order (0 any treatment against the control, 1
        main effect, 2 interaction of two factors, ...), freedom (numerator degrees of freedom),
        value, low, high, error (null where a factor has more than two levels), statistic (t for one
        degree of freedom, else F), p_value, p_adjusted (Holm over all rows), few, verdict
        ("higher", "lower", "differs", "undecided", "not measured").

        A main effect's value is the second level's mean less the first's, averaged over the other
        factors; an interaction's is the difference of such differences.
    means : DataFrame
        One row per level: factor, level, customers, buyers (customers with an outcome other than
        zero), value (least-squares mean: the other factors' levels count alike), low, high.
    cells : DataFrame
        One row per combination of levels: the factors, customers, buyers, value (plain mean).
    metric, label, kind : str
    level : float
    freedom : int
        Residual degrees of freedom.
    notes : tuple of str
        Caveats that a reader must know.
    """

    table: pl.DataFrame
    means: pl.DataFrame
    cells: pl.DataFrame
    metric: str
    label: str
    kind: str
    level: float
    freedom: int
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Finding: which contrasts are statistically clear, with their size."""
        count = self.table.height
        tests = f"Holm over {counted(count, 'contrast')}" if count > 1 else "one contrast"
        how = f"least squares, tests of type III, {tests}"
        clear = [_effect_words(row, self.kind) for row in self.table.iter_rows(named=True)]
        clear = [words for words in clear if words]
        label = f"{self.label[0].upper()}{self.label[1:]}"
        if self.table["p_value"].is_nan().all():
            sentence = f"{label} does not vary beside the design, so no contrast can be tested."
        elif clear:
            size = f"with {percent(self.level, places=0)} intervals"
            rest = "" if len(clear) == count else "; the others are undecided"
            sentence = f"{label} differs by {'; '.join(clear)} ({size}{rest}; {how})."
        else:
            sentence = f"No contrast moves {self.label} by more than chance ({how})."
        return " ".join([sentence, *self.notes])

    def plot(self) -> Figure:
        """Draw the contrasts of one degree of freedom, or else the levels' means."""
        from segkit.plot import intervals

        drawn = self.table.filter(pl.col("value").is_not_null())
        several = drawn.is_empty()
        if several:
            drawn = self.means.with_columns(effect=pl.format("{} {}", "factor", "level"))
        return intervals(
            drawn,
            "effect",
            "value",
            percent=self.kind == "share",
            reference=None if several else 0.0,
            title=f"{self.label} by level" if several else f"Effects on {self.label}",
            y_label="mean" if several else "difference",
        )


def _effect_words(row: Mapping[str, Any], kind: str) -> str:
    if row["verdict"] == "differs":
        return f"{row['effect']} (F {number(row['statistic'])})"
    if row["verdict"] not in ("higher", "lower"):
        return ""
    factor = 100 if kind == "share" else 1
    limits = f"({number(factor * row['low'])} to {number(factor * row['high'])})"
    return f"{gap(row['value'], kind)} {limits} for {row['effect']}"


@takes_frames
def estimate_factorial_effects(
    outcomes: Outcomes | pl.DataFrame,
    factors: Sequence[str],
    *,
    metric: str | Kpi = "conversion",
    interactions: int = 2,
    blocks: Sequence[str] = (),
    covariates: Sequence[str] = (),
    control: str | None = None,
    level: float = 0.95,
) -> Factorial:
    """Estimate main effects and interactions of a multivariate test by least squares.

    Each contrast is tested once: a factor's main effect, and the interactions of up to
    ``interactions`` factors; higher ones are taken to be zero. Customers without a level in every
    factor (the holdout of `assign_factors`) are the control: any treatment against the control is a
    separate contrast, and the factors are compared among the treated customers.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        The factors' columns, the metric's outcome, blocks and covariates, one row per customer.
    factors : sequence of str
        Columns with the levels; null for the control.
    metric : str or Kpi
        A share or a mean.
    interactions : int
        Highest number of factors in an interaction; 1 gives main effects alone.
    blocks : sequence of str
        Columns within which customers were randomised (the segment); their effects are removed.
    covariates : sequence of str
        Numbers known before the assignment.
    control : str, optional
        Label in ``arm`` of the customers who were not contacted; by default those without levels.
    level : float

    Returns
    -------
    Factorial

    Raises
    ------
    DataError
        If a factor has one level, a contrast cannot be estimated (a combination without customers,
        or a factor that is confounded with another or with a block), a value is missing, a share's
        outcome is not 0 or 1, or customers were not assigned at random.
    ParameterError
        If a name or an option is unknown, or the metric is a ratio.

    Notes
    -----
    With two levels coded -1 and 1, a contrast's value is ``2**order`` times its coefficient. One
    variance is assumed for all combinations, and combinations weigh alike (tests of type III).
    Source: Box, Hunter & Hunter (2005), Statistics for Experimenters, chapter 5 (an interaction is
    half of the value given here); Searle (1987), Linear Models for Unbalanced Data, chapters 4 and
    5, for the types of sums of squares.

    Examples
    --------
    >>> rows = [(s, o, y) for s in "ab" for o in "xy" for y in [0] * (80 if s == "a" else 60)
    ...         + [1] * (20 if s == "a" else 40)]
    >>> frame = pl.DataFrame(rows, schema=["subject", "offer", "converted"], orient="row")
    >>> found = estimate_factorial_effects(frame, ["subject", "offer"])
    >>> found.table.select("effect", "verdict").rows()
    [('subject b against a', 'higher'), ('offer y against x', 'undecided'), \
('subject with offer', 'undecided')]
    >>> round(found.table["value"][0], 3)
    0.2
    """
    frame, figure = _checked(outcomes, factors, metric, blocks, covariates, control)
    require_least(interactions=(interactions, 1))
    parts = _split(frame, list(factors), control)
    layout = Layout(parts, list(factors), min(interactions, len(factors)), list(blocks))
    layout.refuse_aliased()
    beside = frame.select(pl.col(list(covariates)).cast(pl.Float64)).to_numpy()
    beside = beside.reshape(frame.height, len(covariates))
    outcome = frame[figure.column].cast(pl.Float64).to_numpy()
    design = Design(layout.groups, layout.table, beside - beside.mean(axis=0))
    fit = fit_least_squares(design, outcome, needed=layout.needed)
    buyers = outcome != 0
    rows = [
        _contrast(layout, name, fit, level) | {"few": _is_few(layout, name, buyers, figure.kind)}
        for name in layout.terms
    ]
    return Factorial(
        table=_judged(rows, level),
        means=layout.means(fit, buyers, level),
        cells=_cells(parts, factors, buyers, outcome),
        metric=figure.name,
        label=figure.label,
        kind=figure.kind,
        level=level,
        freedom=fit.freedom,
        notes=_notes(layout, fit, covariates, rows, interactions),
    )


def _checked(
    outcomes: Outcomes | pl.DataFrame,
    factors: Sequence[str],
    metric: str | Kpi,
    blocks: Sequence[str],
    covariates: Sequence[str],
    control: str | None,
) -> tuple[pl.DataFrame, Kpi]:
    named = {one.name: one for one in KPIS}
    if isinstance(metric, str) and metric not in named:
        raise ParameterError(unknown("metric", metric, named))
    figure = named[metric] if isinstance(metric, str) else metric
    if figure.kind == "ratio" or not factors:
        raise ParameterError(
            "factorial effects need a metric that is a share or a mean, and at least one factor"
        )
    frame = read_test(outcomes)
    arm = [] if control is None else ["arm"]
    needed = [*factors, figure.column, *blocks, *covariates, *arm]
    require_columns(frame.columns, needed, "the outcomes")
    for name in (figure.column, *covariates):
        kind = frame.schema[name]
        if not (kind.is_numeric() or kind == pl.Boolean):
            raise DataError(f"{name!r} must be numeric or Boolean, is {kind}")
        values = frame[name].cast(pl.Float64)
        lost = values.null_count() + int((~values.is_finite()).sum())
        if lost:
            raise DataError(f"{name!r} is missing or not finite for {counted(lost, 'customer')}")
    values = frame[figure.column].cast(pl.Float64)
    if figure.kind == "share" and not values.is_in([0.0, 1.0]).all():
        raise DataError(
            f"a share counts customers, so {figure.column!r} must be 0 or 1 (or Boolean) for each "
            "of them"
        )
    for name in blocks:
        if frame[name].null_count():
            raise DataError(
                f"{counted(frame[name].null_count(), 'customer has', 'customers have')} no {name}"
            )
    return frame, figure


def _split(frame: pl.DataFrame, factors: list[str], control: str | None) -> pl.DataFrame:
    """Return factors as strings, and the control's name in `CONTROL` for its customers."""
    levels = frame.with_columns(pl.col(factors).cast(pl.String))
    missing = pl.sum_horizontal(pl.col(factors).is_null())
    if control is None:
        if "arm" in frame.columns and levels.filter(missing > 0)["arm"].n_unique() == 1:
            control = str(levels.filter(missing > 0)["arm"][0])
        none = missing == len(factors)
    else:
        none = pl.col("arm") == control
        if not frame["arm"].is_in([control]).any():
            raise ParameterError(unknown("arm", control, frame["arm"].unique().sort()))
    levels = levels.with_columns(
        pl.when(~none).then(pl.col(factors)),
        pl.when(none).then(pl.lit(control or "none")).alias(CONTROL),
    )
    partly = levels.filter(pl.col(CONTROL).is_null() & (missing > 0)).height
    if partly:
        raise DataError(
            f"{counted(partly, 'customer has', 'customers have')} no level of a factor, and "
            f"{'is' if partly == 1 else 'are'} not in the control"
        )
    return levels


def _contrast(layout: Layout, term: tuple[str, ...], fit: Fit, level: float) -> dict[str, Any]:
    from scipy.special import fdtrc, stdtrit

    columns = layout.terms[term]
    f, b = fit.wald(columns), fit.coefficients[columns]
    v = fit.covariance[np.ix_(columns, columns)]
    row: dict[str, Any] = {
        "effect": layout.words(term),
        "factors": ", ".join(term),
        "order": len(term),
        "freedom": len(columns),
        **dict.fromkeys(("value", "low", "high", "error")),
        "statistic": f,
        "p_value": float(fdtrc(len(columns), fit.freedom, f)),
    }
    if len(columns) > 1:
        return row
    scale = 2.0 ** len(term)
    value, error = scale * float(b[0]), scale * math.sqrt(float(v[0, 0]))
    row |= {"value": value, "error": error, "statistic": math.nan, "p_value": math.nan}
    if error > 0 and not math.isnan(f):
        t, reach = value / error, float(stdtrit(fit.freedom, (1 + level) / 2)) * error
        row |= {"low": value - reach, "high": value + reach, "statistic": t}
        row["p_value"] = float(t_p_value(t, fit.freedom))
    return row


def _is_few(
    layout: Layout, term: tuple[str, ...], buyers: npt.NDArray[np.bool_], kind: str
) -> bool:
    """Return whether a contrast's smallest side expects few buyers or, for a share, others."""
    sides = layout.sides(term)
    sizes = [layout.size[sides == side].sum() for side in np.unique(sides[sides >= 0])]
    share = float(buyers[(sides >= 0)[layout.groups]].mean())
    least = min(share, 1 - share) if kind == "share" else share
    return bool(min(sizes) * least < FEW)


def _judged(rows: list[dict[str, Any]], level: float) -> pl.DataFrame:
    floats = ("value", "low", "high", "error", "statistic", "p_value")
    table = pl.DataFrame(rows, schema_overrides=dict.fromkeys(floats, pl.Float64))
    adjusted = pl.Series(adjust(table["p_value"].to_numpy()))
    clear = (pl.col("p_adjusted") <= 1 - level) & ~pl.col("few")
    verdict = (
        pl.when(pl.col("p_adjusted").is_nan())
        .then(pl.lit("not measured"))
        .when(~clear)
        .then(pl.lit("undecided"))
        .when(pl.col("value").is_null())
        .then(pl.lit("differs"))
        .when(pl.col("value") > 0)
        .then(pl.lit("higher"))
        .otherwise(pl.lit("lower"))
    )
    figures = table.drop("few").with_columns(p_adjusted=adjusted, few=table["few"])
    return figures.with_columns(verdict=verdict)


def _cells(
    parts: pl.DataFrame, factors: Sequence[str], buyers: npt.NDArray[np.bool_], outcome: Array
) -> pl.DataFrame:
    own = parts.select(factors).with_columns(buyer=pl.Series(buyers), outcome=pl.Series(outcome))
    return (
        own.group_by(factors)
        .agg(customers=pl.len(), buyers=pl.col("buyer").sum(), value=pl.col("outcome").mean())
        .sort(factors, nulls_last=True)
        .with_columns(pl.col("customers", "buyers").cast(pl.Int64))
    )


def _notes(
    layout: Layout, fit: Fit, covariates: Sequence[str], rows: list[dict[str, Any]], order: int
) -> tuple[str, ...]:
    notes = []
    few = [row["effect"] for row in rows if row["few"]]
    if few:
        notes.append(
            f"Fewer than {FEW} customers are expected with (or without) the outcome on a side of "
            f"{', '.join(few)}: left undecided."
        )
    place = layout.table.shape[1]
    out = [name for i, name in enumerate(covariates) if not fit.used[place + i]]
    if out:
        notes.append(f"Left out, for it does not vary beside the others: {', '.join(out)}.")
    empty = layout.empty_cells()
    if empty:
        notes.append(
            f"No customer has {number(len(empty))} of the combinations; the estimates hold if "
            f"interactions of more than {counted(order, 'factor')} are absent."
        )
    return tuple(notes)
