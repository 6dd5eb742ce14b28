"""Collinearity of predictors: variance inflation, condition number, exact dependencies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError
from segkit.frames import takes_frames
from segkit.regression.columns import Design, Floats, make_design
from segkit.regression.outcomes import LABELS, DriverTable
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

HIGH_VIF, HIGH_CONDITION = 10.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Collinearity(Result):
    """How far the predictors repeat each other.

    Attributes
    ----------
    predictors : polars.DataFrame
        One row a predictor, as given: predictor, label, columns (of the matrix), vif (variance
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

    def to_frame(self) -> pl.DataFrame:
        """Return one row a predictor."""
        return self.predictors

    @property
    def text(self) -> str:
        """Whether the predictors can be told apart."""
        high = self.predictors.filter(pl.col("vif") > HIGH_VIF).sort("vif", descending=True)
        condition = f"the condition number is {number(self.condition_number)}"
        top = self.predictors.sort("vif", descending=True).row(0, named=True)
        if high.height:
            named = ", ".join(
                f"{row['label']} ({number(row['vif'])})" for row in high.head(5).to_dicts()
            )
            return (
                f"{number(high.height)} of {number(self.predictors.height)} predictors repeat the "
                f"others so closely that their effects can hardly be told apart: variance "
                f"inflation above {number(HIGH_VIF)} for {named}; {condition}."
            )
        far = (
            " (above 30: partly because levels lie far from zero, which does no harm here)"
            if self.condition_number > HIGH_CONDITION
            else ""
        )
        return (
            f"The {number(self.predictors.height)} predictors can be told apart: the highest "
            f"variance inflation is {number(top['vif'])} ({top['label']}); {condition}{far}."
        )

    def plot(self) -> Figure:
        """Draw each predictor's variance inflation."""
        from segkit.plot import bars

        rows = self.predictors.sort("vif", descending=True).head(25)
        return bars(
            rows, "label", "vif", reference=HIGH_VIF, y_label="variance inflation factor",
            title="How closely each predictor follows from the others",
        )  # fmt: skip


@takes_frames
def collinearity(
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
        One row a unit of analysis; rows with gaps are left out.
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
    >>> round(collinearity(rows, ["a", "b"]).predictors["vif"][0], 3)
    3.083
    """
    if isinstance(frame, DriverTable):
        frame, labels = frame.frame, {**LABELS, **(labels or {})}
    counted = frame.select(predictors).with_columns(__row=pl.int_range(pl.len()))
    design = make_design(counted, "__row", predictors, log=log, labels=labels)
    return of_design(design)


def of_design(design: Design) -> Collinearity:
    """Measure the collinearity of a matrix; exact dependencies are an error."""
    check_rank(design)
    scaled = (design.X - design.X.mean(axis=0)) / design.X.std(axis=0)
    R = scaled.T @ scaled / len(scaled)
    inverse = np.linalg.inv(R)
    rows = []
    for name, places in design.groups.items():
        others = [k for k in range(R.shape[0]) if k not in places]
        if len(places) == 1:
            vif = float(inverse[places[0], places[0]])
        elif others:
            inside = np.linalg.slogdet(R[np.ix_(places, places)])[1]
            outside = np.linalg.slogdet(R[np.ix_(others, others)])[1]
            vif = float(np.exp((inside + outside - np.linalg.slogdet(R)[1]) / len(places)))
        else:
            vif = 1.0
        rows.append(
            {
                "predictor": name,
                "label": design.labels()[name],
                "columns": len(places),
                "vif": vif,
                "r2_others": 1 - 1 / vif if len(places) == 1 else None,
            }
        )
    full = np.column_stack([np.ones(len(design.X)), design.X])
    values = np.linalg.svd(full / np.linalg.norm(full, axis=0), compute_uv=False)
    schema = {"predictor": pl.String, "label": pl.String, "columns": pl.Int64}
    return Collinearity(
        pl.DataFrame(rows, schema=schema | {"vif": pl.Float64, "r2_others": pl.Float64}),
        float(values[0] / values[-1]),
        len(design.X),
    )


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
    found: list[int] = []
    kept: list[int] = []
    for k in range(small.shape[1]):
        column, basis = small[:, k], small[:, kept]
        rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0] if kept else column
        dependent = np.linalg.norm(rest) <= tolerance * np.linalg.norm(column)
        (found if dependent else kept).append(k)
    return found
