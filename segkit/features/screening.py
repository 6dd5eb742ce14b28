"""Screening of variables: which relate to a KPI, which repeat others, which are noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from segkit.display import counted, label, number, percent
from segkit.errors import ColumnError, DataError, ParameterError, unknown
from segkit.features.table import CustomerTable
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.hypotheses import adjust

# MODULE segkit.features.screening

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segkit.plot import Figure

MIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Target:
    """The KPI: its values (or ranks), its bins and its score metric."""

    values: NDArray[np.float64]
    codes: NDArray[np.int64]
    metric: str


def prepare_target(values: pl.Series) -> Target:
    """Prepare a KPI: two values are classes, numbers become ranks."""
    if values.n_unique() == 2 or values.dtype == pl.Boolean:
        codes = values.rank("dense").to_numpy().astype(np.int64) - 1
        return Target(codes.astype(float), codes, "AUC")
    if not values.dtype.is_numeric():
        raise ColumnError(f"{values.name} ({values.dtype}) is neither numeric nor of two values")
    ranks = values.rank("average").to_numpy().astype(float)
    return Target(ranks, bins(ranks), "R2")


def as_floats(values: pl.Series) -> NDArray[np.float64]:
    """Return a variable as floats, missing as NaN; text becomes the code of its value."""
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.cast(pl.String).rank("dense")
    numbers = values.cast(pl.Float64).to_numpy().copy()
    numbers[np.isinf(numbers)] = np.nan
    return numbers


def describe_values(values: pl.Series) -> dict[str, Any]:
    """Return the shares of the missing and of the commonest value; missing counts as one."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    commonest = cast("int", values.value_counts()["count"].max())
    n = values.len()
    return {"missing_share": values.null_count() / n, "commonest_share": commonest / n}


def bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Divide into 2 to 8 quantile bins, more where there are more rows.

    A value that many rows share (zero, say) has a bin of its own, as missing has.

    Examples
    --------
    >>> bins(np.array([0.0] * 60 + [1.0, 2.0] * 10 + [np.nan])).tolist()[59:63]
    [0, 1, 1, 1]
    """
    values_present = values[~np.isnan(values)]
    count = int(np.clip(np.sqrt(len(values) / 40), 2, 8))
    cuts, at = (
        np.unique(np.quantile(values_present, np.arange(1, count) / count)),
        len(values_present) / (2 * count),
    )
    shared = [c for c in cuts if (values_present == c).sum() >= at]
    edges = np.unique(np.concatenate([cuts, np.nextafter(shared, np.inf)]))
    codes = np.searchsorted(edges, values, side="right")
    codes[np.isnan(values)] = len(edges) + 1
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def test_information(
    columns: dict[str, NDArray[np.float64]],
    varied: list[str],
    target: Target,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, dict[str, float]]:
    """Compare each variable's mutual information with that of shuffled KPIs."""
    n, width = len(target.codes), int(target.codes.max()) + 1
    logs = np.arange(n + 1) * np.log(np.maximum(np.arange(n + 1), 1))
    codes = {v: bins(columns[v]) * width for v in varied}

    def cells(v: str, kpi: NDArray[np.int64]) -> float:
        return float(logs[np.bincount(codes[v] + kpi)].sum())

    # Shuffling leaves the margins as they are, so the cells alone decide which is larger.
    observed = {v: cells(v, target.codes) for v in varied}
    beyond = dict.fromkeys(varied, 0)
    for _ in range(permutations):
        shuffled = rng.permutation(target.codes)
        for v in varied:
            beyond[v] += cells(v, shuffled) >= observed[v] * (1 - 1e-13)
    p = [(1 + beyond[v]) / (1 + permutations) for v in varied]
    adjusted = adjust(p, method="benjamini-hochberg").tolist()
    kpi_margin = float(logs[np.bincount(target.codes)].sum())
    tests = {}
    for v, raw, corrected in zip(varied, p, adjusted, strict=True):
        margin = float(logs[np.bincount(codes[v])].sum())
        information = (observed[v] - margin - kpi_margin + logs[n]) / n
        tests[v] = {
            "mutual_information": max(information, 0.0),
            "p_value": raw,
            "p_adjusted": corrected,
        }
    return tests


def score_alone(
    columns: dict[str, NDArray[np.float64]], varied: list[str], target: Target, seed: int
) -> dict[str, float]:
    """Score a small tree on each variable alone, on held-out rows."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.tree import DecisionTreeRegressor

    y, n = target.values, len(target.values)
    binary = target.metric == "AUC"
    folds = min(5, int(np.bincount(target.codes).min())) if binary else 5
    if folds < 2:
        return dict.fromkeys(varied, float("nan"))
    kind = StratifiedKFold if binary else KFold
    splits = list(kind(folds, shuffle=True, random_state=seed).split(y, target.codes))
    tree = DecisionTreeRegressor(max_leaf_nodes=8, min_samples_leaf=max(5, n // 50), random_state=0)
    scores = {}
    for v in varied:
        x, predicted, baseline = columns[v][:, None], np.empty(n), np.empty(n)
        for train, test in splits:
            predicted[test] = tree.fit(x[train], y[train]).predict(x[test])
            baseline[test] = y[train].mean()
        if binary:
            scores[v] = float(roc_auc_score(y, predicted))
        else:
            scores[v] = 1 - float(((y - predicted) ** 2).sum() / ((y - baseline) ** 2).sum())
    return scores


def spearman(columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Correlate ranks over the rows that both variables have; too few rows count as none.

    Ranks are taken once, among each variable's known values.
    """
    from scipy.stats import rankdata

    values = np.column_stack(list(columns.values()))
    present = ~np.isnan(values)
    ranks = np.column_stack(
        [rankdata(column, nan_policy="omit") for column in values.T]  # NaN stays NaN
    )
    ranks = np.where(present, ranks - np.nanmean(ranks, axis=0), 0.0) / len(values)
    present_number = present.astype(float)
    n = present_number.T @ present_number
    with np.errstate(invalid="ignore", divide="ignore"):
        sums, squares = ranks.T @ present_number, (ranks**2).T @ present_number
        cov = ranks.T @ ranks - sums * sums.T / n
        spread = squares - sums**2 / n
        rho = cov / np.sqrt(spread * spread.T)
    rho[(n < MIN_ROWS) | ~np.isfinite(rho)] = 0.0
    return cast("NDArray[np.float64]", np.clip(rho, -1, 1))


VERDICTS = ("keep", "redundant", "noise", "constant")
NAMED = 12


def _listed(names: list[str], most: int = NAMED) -> str:
    more = len(names) - most
    shown = ", ".join(label(name) for name in (names[:most] if more > 1 else names))
    return f"{shown} and {number(more)} more" if more > 1 else shown


@dataclass(frozen=True, slots=True, eq=False)
class Screening(Result):
    """Screening of variables against a KPI.

    Attributes
    ----------
    variables : polars.DataFrame
        One row per variable, best score first: verdict and reason; missing_share and
        commonest_share (missing counts as a value); mutual_information in nats between the
        variable's and the KPI's bins, its permutation p_value and the Benjamini-Hochberg
        p_adjusted; score on held-out rows; cluster of variables that repeat each other, their
        representative and the Spearman correlation with it; kpi_spearman; shares_rows (computed
        from the same table over the same days as the KPI).
    kpi : str
    metric : str
        What the score is: "R2" (of the KPI's ranks; 0 = no better than the mean) or "AUC"
        (0.5 = no better than chance).
    level : float
        Share of unrelated variables that pass for related by chance.
    redundancy : float
        Absolute Spearman correlation above which variables repeat each other.
    n_rows : int
        Customers with a known KPI.
    n_used : int
        Of these, the customers in the sample that scores and permutations use.
    permutations : int
    """

    variables: pl.DataFrame
    kpi: str
    metric: str
    level: float
    redundancy: float
    n_rows: int
    n_used: int
    permutations: int

    def names(self, verdict: str) -> list[str]:
        """Return the variables of a verdict: "keep", "redundant", "noise" or "constant"."""
        if verdict not in VERDICTS:
            raise ParameterError(unknown("verdict", verdict, VERDICTS))
        return self.variables.filter(pl.col("verdict") == verdict)["variable"].to_list()

    @property
    def text(self) -> str:
        """Variables worth keeping, those that are noise, and the error rate."""
        tested = self.variables["p_value"].count()
        head = (
            f"Of {counted(self.variables.height, 'variable')} screened against {label(self.kpi)} "
            f"({counted(self.n_rows, 'customer')}), {number(len(self.names('keep')))} are kept."
        )
        parts = [head]
        best = self.variables.filter(pl.col("verdict") == "keep").head(1)
        if best.height:
            scale = "1 is perfect, 0 " if self.metric == "R2" else "1 is perfect, 0.5 "
            parts.append(
                f"Alone, {label(best['variable'].item())} foretells it best: held-out "
                f"{self.metric} {number(best['score'].item())} ({scale}worthless)."
            )
        noise = self.names("noise")
        parts.append(f"Noise: {_listed(noise)}." if noise else "No variable looks like noise.")
        for verdict, words in (("redundant", "Repeat another"), ("constant", "Hardly vary")):
            if names := self.names(verdict):
                parts.append(f"{words}: {_listed(names)}.")
        chance = number(self.level * tested, digits=2)
        parts.append(
            f"An unrelated variable passes with a chance of {percent(self.level, places=0)}: if "
            f"all {number(tested)} tested were unrelated, about {chance} would."
        )
        return " ".join([*parts, *self._warnings()])

    def _warnings(self) -> list[str]:
        is_kept = pl.col("shares_rows") & (pl.col("verdict") == "keep")
        same = self.variables.filter(is_kept)["variable"].to_list()
        near = self.variables.filter(pl.col("kpi_spearman").abs() > 0.95)["variable"].to_list()
        warnings = []
        if same:
            warnings.append(
                f"Beware: {label(self.kpi)} is computed from the same rows as "
                f"{_listed(same, 5)}; their relation is partly arithmetic. Take the KPI from a "
                "later period."
            )
        if near:
            warnings.append(f"{_listed(near)} nearly is {label(self.kpi)} itself.")
        return warnings

    def plot(self) -> Figure:
        """Draw the held-out score of the 25 best variables."""
        from segkit.plot import bars

        shown = self.variables.filter(pl.col("score").is_not_null()).head(25)
        what = f"held-out {self.metric} of {label(self.kpi)}, variable alone"
        named = pl.col("variable").map_elements(label, return_dtype=pl.String)
        rows = shown.select(variable=pl.format("{} ({})", named, "verdict"), score="score")
        reference = 0.0 if self.metric == "R2" else 0.5
        return bars(
            rows, "variable", "score", reference=reference, y_label=what, percent=False,
            title=f"{counted(len(self.names('keep')), 'variable tells', 'variables tell')} about "
            f"{label(self.kpi)}",
        )  # fmt: skip


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
    """Screen variables: which relate to a KPI, which repeat others and which are noise.

    A variable is *constant* if one value (missing is one) has at least ``near_constant`` of the
    rows; *noise* if its mutual information with the KPI is no larger than with the KPI's values
    permuted at random (permutation test at ``level``, each variable by itself); *redundant* if
    another variable of its cluster stands for it. Clusters are those of complete linkage, so every
    two of their variables correlate beyond ``redundancy``; the one with the best held-out score
    stays (then the one with fewer missing values).

    Parameters
    ----------
    frame : polars.DataFrame or CustomerTable
        One row per customer. A customer table also tells which variables are made from the same
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
    target = prepare_target(table[name])
    columns = {variable: as_floats(table[variable]) for variable in names}
    rows = {variable: describe_values(table[variable]) for variable in names}
    varied = [v for v in names if rows[v]["commonest_share"] < near_constant]
    tests = test_information(columns, varied, target, permutations, rng)
    scores = score_alone(columns, varied, target, int(rng.integers(2**31)))
    for variable in varied:
        rows[variable] |= tests[variable] | {"score": scores[variable]}
    related = [v for v in varied if rows[v]["p_value"] <= level]
    _cluster(rows, columns, related, redundancy)
    shared = _shared_rows(frame, name, names)
    kpi_rho = spearman({**{v: columns[v] for v in varied}, name: target.values})
    for i, variable in enumerate(varied):
        rows[variable]["kpi_spearman"] = float(kpi_rho[i, -1])
    for variable, row in rows.items():
        row |= {"variable": variable, "shares_rows": variable in shared}
        row |= _verdict(row, related, level, near_constant)
    variables = pl.DataFrame(list(rows.values()), schema=SCHEMA, orient="row")
    return Screening(
        variables=variables.sort("score", descending=True, nulls_last=True, maintain_order=True),
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
            raise DataError(
                f"the KPI has {counted(kpi.len(), 'value')} for {counted(table.height, 'customer')}"
            )
        table, kpi = table.with_columns(kpi.alias(kpi.name or "kpi")), kpi.name or "kpi"
    if kpi not in table.columns:
        raise ColumnError(unknown("column", kpi, table.columns))
    has_kpi = pl.col(kpi).is_not_null()
    if table.schema[kpi].is_float():
        has_kpi &= pl.col(kpi).is_not_nan()
        if table[kpi].is_infinite().any():
            raise DataError(f"{kpi} holds infinite values")
    table = table.filter(has_kpi)
    if table.height < MIN_ROWS:
        raise DataError(
            f"{counted(table.height, 'customer has', 'customers have')} {kpi}; screening needs "
            f"{MIN_ROWS}"
        )
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
        candidates = [column for column in table.columns if column != kpi and usable(column)]
        if not candidates:
            raise DataError(f"no variable to screen beside {kpi}")
        return candidates
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
    """Group the related variables that repeat each other and choose a representative of each."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if not related:
        return
    rho = spearman({v: columns[v] for v in related})
    labels = np.ones(1, dtype=int)
    if len(related) > 1:
        distances = 1 - np.abs(rho)
        np.fill_diagonal(distances, 0)
        tree = linkage(squareform((distances + distances.T) / 2, checks=False), "complete")
        labels = fcluster(tree, 1 - redundancy, "distance")
    for cluster in dict.fromkeys(labels.tolist()):
        members = np.flatnonzero(labels == cluster)
        best = min(
            members,
            key=lambda i: (-rows[related[i]]["score"], rows[related[i]]["missing_share"], i),
        )
        for i in members:
            rows[related[i]] |= {
                "cluster": int(cluster),
                "representative": related[best],
                "spearman": float(rho[i, best]),
            }


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
    evidence = f"p = {number(row['p_value'])}, held-out score {number(row['score'])}"
    if row["representative"] != name:
        rho = number(row["spearman"])
        why = f"repeats {row['representative']} (Spearman {rho}), which scores higher or is fuller"
        return {"verdict": "redundant", "reason": f"{why}; {evidence}"}
    return {"verdict": "keep", "reason": evidence}
