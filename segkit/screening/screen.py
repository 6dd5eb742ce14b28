"""Screen variables: which say something about a KPI, which repeat each other, which are noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, ParameterError, unknown
from segkit.features import CustomerTable
from segkit.frames import takes_frames
from segkit.screening import measure
from segkit.screening.measure import MIN_ROWS
from segkit.screening.result import Screening

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_LEVELS = 50  # a text column with more values is an id, not a variable
SCHEMA = {
    "variable": pl.String, "verdict": pl.String, "reason": pl.String, "missing_share": pl.Float64,
    "commonest_share": pl.Float64, "mutual_information": pl.Float64, "p_value": pl.Float64,
    "p_adjusted": pl.Float64, "score": pl.Float64, "cluster": pl.Int64,
    "representative": pl.String, "spearman": pl.Float64, "kpi_spearman": pl.Float64,
    "shares_rows": pl.Boolean,
}  # fmt: skip


@takes_frames
def screen_variables(
    frame: pl.DataFrame | CustomerTable,
    kpi: str | pl.Series,
    *,
    candidates: Sequence[str] | None = None,
    level: float = 0.05,
    redundancy: float = 0.9,
    near_constant: float = 0.98,
    permutations: int = 199,
    max_rows: int = 20_000,
    seed: int | np.random.Generator = 0,
) -> Screening:
    """Tell which variables say something about a KPI, which repeat others and which are noise.

    A variable is *constant* if one value (missing is one) has at least ``near_constant`` of the
    rows; *noise* if its mutual information with the KPI is no larger than with the KPI's values
    dealt out at random (permutation test at ``level``, each variable by itself); *redundant* if
    another variable of its cluster stands for it. Clusters are those of complete linkage, so every
    two of their variables correlate beyond ``redundancy``; the one with the best held-out score
    stays (then the one with fewer missing values).

    Parameters
    ----------
    frame : polars.DataFrame or CustomerTable
        One row a customer. A customer table also tells which variables are made from the same
        rows as the KPI.
    kpi : str or polars.Series
        Column name, or a series of the frame's height; numeric or of two values.
    candidates : sequence of str, optional
        Variables to screen; by default every numeric, boolean and text column (text up to 50
        values) but the KPI.
    level : float
        Chance with which an unrelated variable passes.
    redundancy : float
        Absolute Spearman correlation beyond which two variables repeat each other.
    near_constant : float
        Share of the commonest value from which a variable counts as constant.
    permutations : int
    max_rows : int
        Rows drawn at random for permutations and scores where there are more.
    seed : int or numpy.random.Generator

    Returns
    -------
    Screening

    Raises
    ------
    ColumnError
        If the KPI or a candidate is not a column, or is of a type that cannot be screened.
    DataError
        If fewer than 30 customers have the KPI, or all have the same.
    ParameterError
        If a share lies outside 0 to 1, or the permutations are too few for ``level``.

    Notes
    -----
    Mutual information is the plug-in estimate on quantile bins (Cover & Thomas, 2006, *Elements
    of Information Theory*, eq. 2.28), upward biased; the permutations carry the same bias, so the
    p-value (1 + those at least as large) / (1 + permutations) is exact (Phipson & Smyth, 2010,
    SAGMB 9(1), eq. 2). The score is that of a tree of at most 8 leaves on the variable alone,
    five-fold cross-validated: R squared of the KPI's ranks, so that a few large customers do not
    decide, or the area under the ROC curve.

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> x = draw.normal(size=400)
    >>> spent = x + draw.normal(size=400)
    >>> frame = pl.DataFrame({"told": x, "echo": 2 * x, "one": 1, "spent": spent})
    >>> screened = screen_variables(frame, "spent")
    >>> dict(screened.variables.select("variable", "verdict").iter_rows())
    {'told': 'keep', 'echo': 'redundant', 'one': 'constant'}
    """
    _check(level, redundancy, near_constant, permutations)
    rng = np.random.default_rng(seed)
    table = frame.frame if isinstance(frame, CustomerTable) else frame
    name, table = _with_kpi(table, kpi)
    names = _candidates(table, name, candidates)
    n_rows = table.height
    if n_rows > max_rows:
        table = table[np.sort(rng.choice(n_rows, max_rows, replace=False))]
    target = measure.target(table[name])
    columns = {variable: measure.numbers(table[variable]) for variable in names}
    rows = {variable: measure.describe(table[variable]) for variable in names}
    varied = [v for v in names if rows[v]["commonest_share"] < near_constant]
    tests = measure.test(columns, varied, target, permutations, rng)
    scores = measure.scores(columns, varied, target, int(rng.integers(2**31)))
    for variable in varied:
        rows[variable] |= tests[variable] | {"score": scores[variable]}
    related = [v for v in varied if rows[v]["p_value"] <= level]
    _cluster(rows, columns, related, redundancy)
    shared = _shared_rows(frame, name, names)
    kpi_rho = measure.spearman({**{v: columns[v] for v in varied}, name: target.values})
    for i, variable in enumerate(varied):
        rows[variable]["kpi_spearman"] = float(kpi_rho[i, -1])
    for variable, row in rows.items():
        row |= {"variable": variable, "shares_rows": variable in shared}
        row |= _verdict(row, related, level, near_constant)
    made = pl.DataFrame(list(rows.values()), schema=SCHEMA, orient="row")
    return Screening(
        variables=made.sort("score", descending=True, nulls_last=True, maintain_order=True),
        kpi=name, metric=target.metric, level=level, redundancy=redundancy, n_rows=n_rows,
        n_used=table.height, permutations=permutations,
    )  # fmt: skip


def _check(level: float, redundancy: float, near_constant: float, permutations: int) -> None:
    shares = {"level": level, "redundancy": redundancy, "near_constant": near_constant}
    for what, share in shares.items():
        if not 0 < share <= 1:
            raise ParameterError(f"{what} is a share above 0 and up to 1; got {share}")
    if (permutations + 1) * level < 1:
        raise ParameterError(
            f"{permutations} permutations cannot give a p-value of {level}; "
            f"take at least {int(np.ceil(1 / level)) - 1}"
        )


def _with_kpi(table: pl.DataFrame, kpi: str | pl.Series) -> tuple[str, pl.DataFrame]:
    """Put the KPI into the table and drop the customers without one."""
    if isinstance(kpi, pl.Series):
        if kpi.len() != table.height:
            raise DataError(f"the KPI has {kpi.len()} values for {table.height} customers")
        table, kpi = table.with_columns(kpi.alias(kpi.name or "kpi")), kpi.name or "kpi"
    if kpi not in table.columns:
        raise ColumnError(unknown("column", kpi, table.columns))
    known = pl.col(kpi).is_not_null()
    if table.schema[kpi].is_float():
        known &= pl.col(kpi).is_not_nan()
        if table[kpi].is_infinite().any():
            raise DataError(f"{kpi} holds infinite values")
    table = table.filter(known)
    if table.height < MIN_ROWS:
        raise DataError(f"{table.height} customers have {kpi}; screening needs {MIN_ROWS}")
    if table[kpi].n_unique() < 2:
        raise DataError(f"{kpi} has one value alone, {table[kpi][0]}: nothing to relate to")
    return kpi, table


def _candidates(table: pl.DataFrame, kpi: str, wanted: Sequence[str] | None) -> list[str]:
    def usable(column: str) -> bool:
        kind = table.schema[column]
        text = kind in (pl.String, pl.Categorical, pl.Enum)
        return (
            kind.is_numeric()
            or kind == pl.Boolean
            or (text and table[column].n_unique() <= MAX_LEVELS)
        )

    if wanted is None:
        found = [column for column in table.columns if column != kpi and usable(column)]
        if not found:
            raise DataError(f"no variable to screen beside {kpi}")
        return found
    for column in wanted:
        if column not in table.columns:
            raise ColumnError(unknown("column", column, table.columns))
        if column == kpi or not usable(column):
            raise ColumnError(f"{column} ({table.schema[column]}) cannot be screened against {kpi}")
    return list(dict.fromkeys(wanted))


def _cluster(
    rows: dict[str, dict[str, Any]],
    columns: dict[str, NDArray[np.float64]],
    related: list[str],
    redundancy: float,
) -> None:
    """Group the related variables that repeat each other and choose who stands for each group."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if not related:
        return
    rho = measure.spearman({v: columns[v] for v in related})
    labels = np.ones(1, dtype=int)
    if len(related) > 1:
        apart = 1 - np.abs(rho)
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform((apart + apart.T) / 2, checks=False), "complete")
        labels = fcluster(tree, 1 - redundancy, "distance")
    for label in dict.fromkeys(labels.tolist()):
        members = np.flatnonzero(labels == label)
        best = min(
            members,
            key=lambda i: (-rows[related[i]]["score"], rows[related[i]]["missing_share"], i),
        )
        for i in members:
            rows[related[i]] |= {
                "cluster": int(label), "representative": related[best],
                "spearman": float(rho[i, best]),
            }  # fmt: skip


def _shared_rows(frame: pl.DataFrame | CustomerTable, kpi: str, names: list[str]) -> set[str]:
    """Find the variables that a customer table made from the same rows as the KPI."""
    if not isinstance(frame, CustomerTable):
        return set()
    sources = dict(frame.definitions.select("name", "source").iter_rows())
    return {v for v in names if kpi in sources and sources.get(v) == sources[kpi]}


def _verdict(
    row: dict[str, Any], related: list[str], level: float, near_constant: float
) -> dict[str, str]:
    name = row["variable"]
    if "p_value" not in row:
        share = percent(row["commonest_share"])
        why = f"{share} of the customers have one value (limit {percent(near_constant)})"
        return {"verdict": "constant", "reason": why}
    if name not in related:
        why = f"tells no more than chance does: p = {number(row['p_value'])} above {number(level)}"
        return {"verdict": "noise", "reason": why}
    told = f"p = {number(row['p_value'])}, held-out score {number(row['score'])}"
    if row["representative"] != name:
        rho = number(row["spearman"])
        why = f"repeats {row['representative']} (Spearman {rho}), which scores higher or is fuller"
        return {"verdict": "redundant", "reason": f"{why}; {told}"}
    return {"verdict": "keep", "reason": told}
