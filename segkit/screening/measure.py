"""What a variable shares with a KPI, and what variables share with each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl

from segkit.errors import ColumnError
from segkit.stats.hypotheses import adjust

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_ROWS = 30


@dataclass(frozen=True, slots=True)
class Target:
    """The KPI: its values (or ranks), its bins, and the score that suits it."""

    values: NDArray[np.float64]
    codes: NDArray[np.int64]
    metric: str


def target(values: pl.Series) -> Target:
    """Prepare a KPI: two values are classes, numbers become ranks."""
    if values.n_unique() == 2 or values.dtype == pl.Boolean:
        codes = values.rank("dense").to_numpy().astype(np.int64) - 1
        return Target(codes.astype(float), codes, "AUC")
    if not values.dtype.is_numeric():
        raise ColumnError(f"{values.name} ({values.dtype}) is neither numeric nor of two values")
    ranks = values.rank("average").to_numpy().astype(float)
    return Target(ranks, bins(ranks), "R2")


def numbers(values: pl.Series) -> NDArray[np.float64]:
    """Give a variable as floats, missing as NaN; text becomes the code of its value."""
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.cast(pl.String).rank("dense")
    numbers = values.cast(pl.Float64).to_numpy().copy()
    numbers[np.isinf(numbers)] = np.nan
    return numbers


def describe(values: pl.Series) -> dict[str, Any]:
    """Give the shares of the missing and of the commonest value; missing counts as one."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    commonest = cast("int", values.value_counts()["count"].max())
    n = values.len()
    return {"missing_share": values.null_count() / n, "commonest_share": commonest / n}


def bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cut into quantile bins, as many as the rows bear (2 to 8).

    A value that many rows share (zero, say) has a bin of its own, as missing has.

    Examples
    --------
    >>> bins(np.array([0.0] * 60 + [1.0, 2.0] * 10 + [np.nan])).tolist()[59:63]
    [0, 1, 1, 1]
    """
    known = values[~np.isnan(values)]
    count = int(np.clip(np.sqrt(len(values) / 40), 2, 8))
    cuts, at = np.unique(np.quantile(known, np.arange(1, count) / count)), len(known) / (2 * count)
    shared = [c for c in cuts if (known == c).sum() >= at]
    edges = np.unique(np.concatenate([cuts, np.nextafter(shared, np.inf)]))
    codes = np.searchsorted(edges, values, side="right")
    codes[np.isnan(values)] = len(edges) + 1
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def test(
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
    seen = {v: cells(v, target.codes) for v in varied}
    beyond = dict.fromkeys(varied, 0)
    for _ in range(permutations):
        dealt = rng.permutation(target.codes)
        for v in varied:
            beyond[v] += cells(v, dealt) >= seen[v] * (1 - 1e-13)
    p = [(1 + beyond[v]) / (1 + permutations) for v in varied]
    adjusted = adjust(p, method="benjamini-hochberg").tolist()
    own = float(logs[np.bincount(target.codes)].sum())
    found = {}
    for v, raw, corrected in zip(varied, p, adjusted, strict=True):
        margin = float(logs[np.bincount(codes[v])].sum())
        information = (seen[v] - margin - own + logs[n]) / n
        found[v] = {
            "mutual_information": max(information, 0.0), "p_value": raw,
            "p_adjusted": corrected,
        }  # fmt: skip
    return found


def scores(
    columns: dict[str, NDArray[np.float64]], varied: list[str], target: Target, seed: int
) -> dict[str, float]:
    """Score a small tree on each variable alone, on rows that it has not seen."""
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
        x, told, base = columns[v][:, None], np.empty(n), np.empty(n)
        for train, test in splits:
            told[test] = tree.fit(x[train], y[train]).predict(x[test])
            base[test] = y[train].mean()
        if binary:
            scores[v] = float(roc_auc_score(y, told))
        else:
            scores[v] = 1 - float(((y - told) ** 2).sum() / ((y - base) ** 2).sum())
    return scores


def spearman(columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Correlate ranks over the rows that both variables have; too few rows count as none.

    Ranks are taken once, among each variable's known values.
    """
    from scipy.stats import rankdata

    values = np.column_stack(list(columns.values()))
    known = ~np.isnan(values)
    ranks = np.column_stack(
        [rankdata(column, nan_policy="omit") for column in values.T]  # NaN stays NaN
    )
    ranks = np.where(known, ranks - np.nanmean(ranks, axis=0), 0.0) / len(values)
    here = known.astype(float)
    n = here.T @ here
    with np.errstate(invalid="ignore", divide="ignore"):
        sums, squares = ranks.T @ here, (ranks**2).T @ here
        cov = ranks.T @ ranks - sums * sums.T / n
        spread = squares - sums**2 / n
        rho = cov / np.sqrt(spread * spread.T)
    rho[(n < MIN_ROWS) | ~np.isfinite(rho)] = 0.0
    return cast("NDArray[np.float64]", np.clip(rho, -1, 1))
