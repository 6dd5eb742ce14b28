"""Do the segments differ on what they were not built from: tests, effect sizes, Holm."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl

from segkit.profile.composition import count_levels
from segkit.profile.members import Floats, Members
from segkit.profile.variables import Variables
from segkit.stats.effects import cramers_v
from segkit.stats.hypotheses import adjust

TYPES: dict[Any, type[pl.DataType]] = {
    **dict.fromkeys(["variable", "role", "test"], pl.String),
    **dict.fromkeys(["statistic", "freedom", "p_value", "p_holm", "effect"], pl.Float64),
    **dict.fromkeys(["effect_name", "note"], pl.String),
}
CIRCULAR = "built the segments: a test would be circular"
OVERLAP = "segments overlap: no test between them"


def compare_descriptors(
    members: Members,
    variables: Variables,
    described: pl.DataFrame,
    *,
    circular: Collection[str],
    kpi: str | None,
) -> pl.DataFrame:
    """Test each variable for differences between segments.

    Numeric variables by Kruskal and Wallis (1952), with epsilon squared ``H / (n - 1)`` (Tomczak
    & Tomczak 2014); yes/no variables and descriptions by Pearson's chi-square, with Cramér's V
    corrected for bias. Variables that built the segments differ by construction, so their rows
    carry the effect size alone, no test. p-values are adjusted over all tests made (Holm 1979).

    Returns
    -------
    polars.DataFrame
        variable, role ("clustering", "descriptor", "kpi"), test, statistic, freedom, p_value,
        p_holm, effect, effect_name, note.
    """
    rows = []
    labels = members.labels()
    for j, name in enumerate(variables.names):
        role = "kpi" if name == kpi else "clustering" if name in circular else "descriptor"
        column = variables.values[:, j]
        if variables.yes_no[j]:
            known = ~np.isnan(column)
            yes = np.array([(column[inside & known] == 1).sum() for inside in members.within])
            sizes = np.array([(inside & known).sum() for inside in members.within])
            row = chi_square(np.column_stack([sizes - yes, yes]))
        else:
            row = kruskal(column, labels)
        rows.append({"variable": name, "role": role, **row})
    for name in described.columns:
        _, counts = count_levels(members, name, described.get_column(name))
        role = "clustering" if name in circular else "descriptor"
        rows.append({"variable": name, "role": role, **chi_square(counts)})
    found = pl.DataFrame(rows, schema_overrides=TYPES) if rows else pl.DataFrame(schema=TYPES)
    overlap = members.overlapping > 0
    withheld = pl.lit(value=True) if overlap else pl.col("role") == "clustering"
    if rows:
        found = found.with_columns(
            *(pl.when(~withheld).then(c).alias(c) for c in ("statistic", "freedom", "p_value")),
            note=pl.when(withheld).then(pl.lit(OVERLAP if overlap else CIRCULAR)).otherwise("note"),
        )
    p_values = found.get_column("p_value") if rows else pl.Series([], dtype=pl.Float64)
    holm = adjust(p_values.fill_null(float("nan")).to_numpy())
    found = found.with_columns(p_holm=pl.Series(holm, dtype=pl.Float64))
    return found.fill_nan(None).select(list(TYPES))


def kruskal(values: Floats, labels: np.ndarray) -> dict[str, object]:
    """Test by ranks whether groups differ; null where fewer than two groups or values differ.

    ``H = (n - 1) SS_between / SS_total`` of the midranks, which holds with ties.

    Examples
    --------
    >>> found = kruskal(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    >>> round(found["statistic"], 2), found["freedom"]
    (2.4, 1)
    """
    from scipy.special import chdtrc

    known = ~np.isnan(values)
    levels, codes = np.unique(values[known], return_inverse=True)
    groups, which = np.unique(labels[known], return_inverse=True)
    name = {"test": "Kruskal-Wallis", "effect_name": "epsilon squared"}
    if groups.size < 2 or levels.size < 2:
        return {**name, **_nothing("fewer than two segments or values")}
    counts = np.bincount(codes)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    n = ranks.size
    sizes = np.bincount(which)
    means = np.bincount(which, weights=ranks) / sizes
    middle = (n + 1) / 2
    share = float((sizes * (means - middle) ** 2).sum() / ((ranks - middle) ** 2).sum())
    h, freedom = (n - 1) * share, groups.size - 1
    return {
        **name,
        "statistic": h,
        "freedom": freedom,
        "p_value": float(chdtrc(freedom, h)),
        "effect": share,
        "note": "",
    }


def chi_square(counts: np.ndarray) -> dict[str, object]:
    """Test whether segments (rows) differ in their shares of the values (columns).

    The note says where the approximation is doubtful: more than a fifth of the expected counts
    below 5, or one below 1 (Cochran 1954, Biometrics 10).

    Examples
    --------
    >>> round(chi_square(np.array([[30, 10], [10, 30]]))["statistic"], 1)
    20.0
    """
    from scipy.special import chdtrc

    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(np.float64)
    name = {"test": "chi-square", "effect_name": "Cramér's V"}
    if min(table.shape) < 2:
        return {**name, **_nothing("fewer than two segments or values")}
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    doubtful = (expected < 5).mean() > 0.2 or (expected < 1).any()
    return {
        **name,
        "statistic": statistic,
        "freedom": freedom,
        "p_value": float(chdtrc(freedom, statistic)),
        "effect": cramers_v(table),
        "note": "few expected counts: doubtful" if doubtful else "",
    }


def _nothing(why: str) -> dict[str, object]:
    return {"statistic": None, "freedom": None, "p_value": None, "effect": None, "note": why}
