"""Design matrix of a regression, and the collinearity of its columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, number
from segkit.errors import ColumnError, DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.plot import Figure, bars
from segkit.regression.outcomes import LABELS, DriverTable
from segkit.result import Result

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_LEVELS = 30
HIGH_VIF, HIGH_CONDITION = 10.0, 30.0
_COLLINEAR = {
    **dict.fromkeys(("predictor", "label"), pl.String),
    "columns": pl.Int64,
    **dict.fromkeys(("vif", "r2_others"), pl.Float64),
}


@dataclass(frozen=True, slots=True)
class Term:
    """One column of the matrix.

    Attributes
    ----------
    name : str
        Unique name of the column, "region: Wales".
    predictor : str
        The predictor that it belongs to, "region".
    label : str
        The name for people.
    kind : {"number", "log", "yes or no", "level", "formula"}
    contrast : str
        What its coefficient compares: "one more", "against London" ...
    """

    name: str
    predictor: str
    label: str
    kind: str
    contrast: str


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The matrix of a regression, complete rows only.

    Attributes
    ----------
    X : ndarray, shape (rows, terms)
        Without a constant.
    y : ndarray, shape (rows,)
    terms : tuple of Term
    exposure : ndarray, shape (rows,), or None
    clusters : ndarray of int, shape (rows,), or None
        Code of each row's cluster.
    n_given : int
        Rows of the frame, before those with gaps were left out.
    notes : tuple of str
        The coding of text columns, and what was left out.
    """

    X: Floats
    y: Floats
    terms: tuple[Term, ...]
    exposure: Floats | None
    clusters: Ints | None
    n_given: int
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [term.name for term in self.terms]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Each predictor with its columns' places."""
        places: dict[str, list[int]] = {}
        for place, term in enumerate(self.terms):
            places.setdefault(term.predictor, []).append(place)
        return places

    def labels(self) -> dict[str, str]:
        """Each predictor with its name for people."""
        return {t.predictor: t.label.split(": ")[0] for t in self.terms}


def make_design(
    frame: pl.DataFrame,
    outcome: str,
    predictors: Sequence[str] | str,
    *,
    log: Collection[str] = (),
    baselines: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    exposure: str | None = None,
    clusters: str | None = None,
) -> Design:
    """Turn columns, or a formula's right side, into the matrix of a regression.

    Numbers enter as they are (``log``: as log(1 + x)), yes/no columns as 0 and 1, text by
    treatment coding: one column per level against the commonest one, or the one in ``baselines``.
    Rows with a gap (null or NaN) in a column that is used are left out and counted.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per unit of analysis.
    outcome : str
        Numeric or yes/no column.
    predictors : sequence of str, or str
        Columns; or the right side of a formula in patsy's language ("visits + C(region)").
    log : collection of str
        Columns that enter as log(1 + x).
    baselines : mapping of str to str, optional
        Text column to the level that the others are compared with.
    labels : mapping of str to str, optional
        Column to its name for people; by default the name with blanks.
    exposure : str, optional
        Column of positive numbers: the time or chances over which the outcome was counted.
    clusters : str, optional
        Column whose equal values mark rows that belong together.

    Raises
    ------
    ColumnError
        If a column is not there or of no use in a regression.
    DataError
        If a value is infinite, a predictor does not vary, or rows are fewer than columns.
    ParameterError
        If there is no predictor, or a baseline is not a level.

    Examples
    --------
    >>> rows = pl.DataFrame({"orders": [1, 0, 2, 5], "visits": [1, 2, 3, 4],
    ...                      "card": [True, False, False, True]})
    >>> make_design(rows, "orders", ["visits", "card"]).names
    ['visits', 'card']
    """
    formula = predictors if isinstance(predictors, str) else None
    used = _named_in(formula, frame.columns) if formula is not None else list(predictors)
    used = list(dict.fromkeys(used))
    if not used:
        raise ParameterError("expected at least one predictor, got none")
    more = [column for column in (exposure, clusters) if column]
    require_columns(frame.columns, [outcome, *used, *more], "the frame")
    if outcome in used:
        raise ParameterError(f"the outcome {outcome!r} is among its own predictors")
    complete, notes = _complete(
        frame.select(list(dict.fromkeys([outcome, *used, *more]))), clusters
    )
    y = _numbers(complete, outcome)
    names = dict(labels or {})
    if formula is not None:
        X, terms = _from_formula(complete, formula)
    else:
        X, terms, coding = _from_columns(complete, used, log, baselines or {}, names)
        notes += coding
    _check(X, y, terms, outcome)
    return Design(
        X,
        y,
        tuple(terms),
        _exposure(complete, exposure),
        None if clusters is None else _codes(complete.get_column(clusters)),
        frame.height,
        tuple(notes),
    )


def _codes(column: pl.Series) -> Ints:
    return column.rank("dense").cast(pl.Int64).to_numpy() - 1


def _named_in(formula: str, columns: Sequence[str]) -> list[str]:
    if "~" in formula:
        raise ParameterError(
            f"expected the right side of a formula (the outcome is given apart), got {formula!r}"
        )
    words = set(re.findall(r"[^\W\d]\w*", formula))
    return [column for column in columns if column in words]


def _complete(frame: pl.DataFrame, clusters: str | None) -> tuple[pl.DataFrame, list[str]]:
    """Leave out rows with gaps; infinite numbers are an error."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float() and name != clusters]
    for name in floats:
        if n := int(frame.get_column(name).is_infinite().sum()):
            raise DataError(
                f"column {name!r} is infinite in {counted(n, 'row')}; correct or drop them first"
            )
    gaps = frame.with_columns(pl.col(floats).fill_nan(None))
    whole = gaps.drop_nulls()
    if not whole.height:
        empty = [name for name in gaps.columns if gaps.get_column(name).null_count()]
        raise DataError(
            f"none of {counted(frame.height, 'row')} is complete; gaps in "
            f"{', '.join(empty) or 'no column'}"
        )
    lost = frame.height - whole.height
    if not lost:
        return whole, []
    counts = {name: gaps.get_column(name).null_count() for name in gaps.columns}
    worst = [name for name in sorted(counts, key=lambda name: -counts[name])[:3] if counts[name]]
    named = ", ".join(f"{name.replace('_', ' ')} {number(counts[name])}" for name in worst)
    return whole, [f"left out: {counted(lost, 'row')} with gaps ({named})"]


def _numbers(frame: pl.DataFrame, name: str) -> Floats:
    kind = frame.schema[name]
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise ColumnError(f"column {name!r} must hold numbers or yes/no; it holds {kind}")
    return frame.get_column(name).cast(pl.Float64).to_numpy().copy()


def _from_columns(
    frame: pl.DataFrame,
    used: Sequence[str],
    log: Collection[str],
    baselines: Mapping[str, str],
    labels: Mapping[str, str],
) -> tuple[Floats, list[Term], list[str]]:
    columns: list[Floats] = []
    terms: list[Term] = []
    notes: list[str] = []
    for name in used:
        label = labels.get(name, name.replace("_", " "))
        kind = frame.schema[name]
        if kind in (pl.String, pl.Categorical) or isinstance(kind, pl.Enum):
            column = frame.get_column(name).cast(pl.String)
            base, others = _levels(column, baselines.get(name), label)
            for level in others:
                columns.append((column == level).cast(pl.Float64).to_numpy())
                full_name, full_label = f"{name}: {level}", f"{label}: {level}"
                terms.append(Term(full_name, name, full_label, "level", f"against {base}"))
            notes.append(f"{label} is compared with its level {base}")
            continue
        values = _numbers(frame, name)
        if name in log:
            if (values <= -1).any():
                raise DataError(f"log(1 + {name}) needs values above -1; got {values.min():g}")
            values = np.log1p(values)
            coding = ("log", "a step of one in log(1 + x)")
        elif bool(np.isin(values, (0.0, 1.0)).all()):
            coding = ("yes or no", "yes against no")
        else:
            coding = ("number", "one more")
        columns.append(values)
        terms.append(Term(name, name, label, *coding))
    return np.column_stack(columns), terms, notes


def _levels(column: pl.Series, baseline: str | None, label: str) -> tuple[str, list[str]]:
    """Return the level that the others are compared with, and the others."""
    counts = column.value_counts(sort=True).sort(["count", column.name], descending=[True, False])
    levels = counts.get_column(column.name).to_list()
    if len(levels) > MOST_LEVELS:
        raise ColumnError(
            f"{label} has {counted(len(levels), 'level')}; at most {MOST_LEVELS} are coded: group "
            "them first"
        )
    if len(levels) == 1:
        raise DataError(f"{label} has a single level, {levels[0]!r}: it can explain nothing")
    base = levels[0] if baseline is None else baseline
    if base not in levels:
        raise ParameterError(f"baseline {base!r} is no level of {label}: {', '.join(levels)}")
    return base, sorted(level for level in levels if level != base)


def _from_formula(frame: pl.DataFrame, formula: str) -> tuple[Floats, list[Term]]:
    import patsy  # type: ignore[import-untyped]

    data: dict[str, Any] = {name: frame.get_column(name).to_numpy() for name in frame.columns}
    try:
        matrix = patsy.dmatrix(f"1 + {formula}", data, NA_action="raise", return_type="matrix")
    except patsy.PatsyError as error:
        raise ParameterError(f"formula {formula!r} cannot be read: {error}") from error
    info = matrix.design_info
    X, terms = np.asarray(matrix, dtype=np.float64), []
    for term, place in info.term_name_slices.items():
        for k in range(place.start, place.stop):
            if term != "Intercept":
                name = info.column_names[k]
                terms.append(Term(name, term, name, "formula", "one more"))
    places = [info.column_names.index(term.name) for term in terms]
    return X[:, places], terms


def _exposure(frame: pl.DataFrame, name: str | None) -> Floats | None:
    if name is None:
        return None
    values = _numbers(frame, name)
    if (values <= 0).any():
        raise DataError(f"exposure {name!r} must be positive; its least value is {values.min():g}")
    return values


def _check(X: Floats, y: Floats, terms: Sequence[Term], outcome: str) -> None:
    if not np.isfinite(X).all():
        raise DataError("a predictor is infinite or undefined after its transformation")
    constant = [t.name for t, sd in zip(terms, X.std(axis=0), strict=True) if sd <= 1e-12]
    if constant:
        raise DataError(
            f"no variation in {', '.join(constant)} among the {counted(len(y), 'complete row')}: "
            "drop it"
        )
    if np.ptp(y) == 0:
        raise DataError(f"the outcome {outcome!r} is {y[0]:g} in all {counted(len(y), 'row')}")
    if len(y) < len(terms) + 2:
        raise DataError(
            f"{counted(len(terms), 'column needs', 'columns need')} at least "
            f"{counted(len(terms) + 2, 'complete row')}, got {len(y)}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Collinearity(Result):
    """How far the predictors repeat each other.

    Attributes
    ----------
    predictors : polars.DataFrame
        One row per predictor, as given: predictor, label, columns (of the matrix), vif (variance
        inflation factor; for several columns the generalised one to the power 1/columns, on the
        same scale: Fox & Monette 1992), r2_others (share of its variance that the others explain;
        null for several columns).
    condition_number : float
        Largest over smallest singular value of the matrix with its constant, columns scaled to
        length one (Belsley, Kuh & Welsch 1980).
    n_rows : int
    """

    predictors: pl.DataFrame
    condition_number: float
    n_rows: int

    @property
    def text(self) -> str:
        """State whether the predictors' effects can be separated."""
        condition = f"the condition number is {number(self.condition_number)}"
        ordered = self.predictors.sort("vif", descending=True).to_dicts()
        high = [f"{r['label']} ({number(r['vif'])})" for r in ordered if r["vif"] > HIGH_VIF]
        count = len(ordered)
        if high:
            return (
                f"{number(len(high))} of "
                f"{counted(count, 'predictor repeats', 'predictors repeat')} the others so closely "
                "that their effects can hardly be separated: variance inflation above "
                f"{number(HIGH_VIF)} for {', '.join(high[:5])}; {condition}."
            )
        if self.condition_number > HIGH_CONDITION:
            condition += (
                " (above 30: partly because levels lie far from zero, which does no harm here)"
            )
        return (
            f"The effects of {counted(count, 'predictor')} can be separated: the highest variance "
            f"inflation is {number(ordered[0]['vif'])} ({ordered[0]['label']}); {condition}."
        )

    def plot(self) -> Figure:
        """Draw each predictor's variance inflation."""
        rows = self.predictors.sort("vif", descending=True).head(25)
        return bars(
            rows,
            "label",
            "vif",
            reference=HIGH_VIF,
            y_label="variance inflation factor",
            title="How closely each predictor follows from the others",
        )


@takes_frames
def measure_collinearity(
    frame: pl.DataFrame | DriverTable,
    predictors: Sequence[str],
    *,
    log: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
) -> Collinearity:
    """Measure how far the predictors repeat each other.

    Parameters
    ----------
    frame : polars.DataFrame or DriverTable
        One row per unit of analysis; rows with gaps are left out.
    predictors, log, labels
        As in `segkit.fit_drivers`.

    Returns
    -------
    Collinearity

    Raises
    ------
    DataError
        If columns depend on each other exactly, naming them.

    Examples
    --------
    >>> rows = pl.DataFrame({"a": [1.0, 2, 3, 4, 5], "b": [2.0, 1, 4, 3, 6]})
    >>> round(measure_collinearity(rows, ["a", "b"]).predictors["vif"][0], 3)
    3.083
    """
    if isinstance(frame, DriverTable):
        frame, labels = frame.frame, {**LABELS, **(labels or {})}
    numbered = frame.select(predictors).with_columns(__row=pl.int_range(pl.len()))
    design = make_design(numbered, "__row", predictors, log=log, labels=labels)
    return of_design(design)


def of_design(design: Design) -> Collinearity:
    """Measure the collinearity of a matrix; exact dependencies are an error."""
    check_rank(design)
    scaled = (design.X - design.X.mean(axis=0)) / design.X.std(axis=0)
    R = scaled.T @ scaled / len(scaled)
    inverse, whole = np.linalg.inv(R), np.linalg.slogdet(R)[1]
    labels = design.labels()
    rows: list[tuple[str, str, int, float, float | None]] = []
    for name, places in design.groups.items():
        others = [k for k in range(len(R)) if k not in places]
        if len(places) == 1:
            vif = float(inverse[places[0], places[0]])
        else:
            apart = sum(np.linalg.slogdet(R[np.ix_(p, p)])[1] for p in (places, others) if len(p))
            vif = float(np.exp((apart - whole) / len(places)))
        r2_others = 1 - 1 / vif if len(places) == 1 else None
        rows.append((name, labels[name], len(places), vif, r2_others))
    full = np.column_stack([np.ones(len(design.X)), design.X])
    values = np.linalg.svd(full / np.linalg.norm(full, axis=0), compute_uv=False)
    table = pl.DataFrame(rows, schema=_COLLINEAR, orient="row")
    return Collinearity(table, float(values[0] / values[-1]), len(design.X))


def check_rank(design: Design) -> None:
    """Raise ``DataError`` naming the columns that depend on the others exactly."""
    scaled = (design.X - design.X.mean(axis=0)) / design.X.std(axis=0)
    dependent = dependent_columns(scaled)
    if not dependent:
        return
    k = dependent[0]
    weights = np.linalg.lstsq(np.delete(scaled, k, axis=1), scaled[:, k], rcond=None)[0]
    names = [name for j, name in enumerate(design.names) if j != k]
    from_these = [name for name, w in zip(names, weights, strict=True) if abs(w) > 1e-6]
    raise DataError(
        f"column {design.names[k]!r} follows exactly from {', '.join(from_these)}: their effects "
        f"cannot be told apart; drop one (dependent: "
        f"{', '.join(design.names[j] for j in dependent)})"
    )


def dependent_columns(scaled: Floats, tolerance: float = 1e-7) -> list[int]:
    """Return the columns that follow from those before them exactly.

    Examples
    --------
    >>> X = np.array([[1.0, 2, 0], [-1, -2, 1], [0, 0, -1]])
    >>> dependent_columns(X)
    [1]
    """
    small: Floats = np.asarray(np.linalg.qr(scaled, mode="r"))
    independent: list[int] = []
    for k, column in enumerate(small.T):
        basis = small[:, independent]
        rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if np.linalg.norm(rest) > tolerance * np.linalg.norm(column):
            independent.append(k)
    return [k for k in range(small.shape[1]) if k not in independent]
