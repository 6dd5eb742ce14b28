"""Descriptions of segments: composition, tests, and how well they predict the segment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted
from segkit.intake.privacy import LEAST_HOLDERS, fold_rare, personal_columns
from segkit.profile.members import Flags, Floats, Members
from segkit.profile.variables import Variables, dominance
from segkit.stats.effects import cramers_v, delta_limits
from segkit.stats.hypotheses import adjust, count_table
from segkit.stats.intervals import wilson

AGE_FROM = (0, 18, 25, 35, 45, 55, 65)
AGE_BANDS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65 and over")
MOST_LEVELS = 12
IMPOSSIBLE_AGE = 120
TYPES: dict[Any, type[pl.DataType]] = {
    **dict.fromkeys(["segment", "segment_name", "variable", "level"], pl.String),
    **dict.fromkeys(["customers", "known"], pl.Int64),
    **dict.fromkeys(["share", "share_low", "share_high", "share_all"], pl.Float64),
    "hidden": pl.Boolean,
}


CIRCULAR = "built the segments: a test would be circular"
OVERLAP = "segments overlap: no test between them"


def read_descriptions(
    members: Members,
    customers: pl.DataFrame | None,
    as_of: date | None,
    table: pl.DataFrame,
    smallest_cell: int = LEAST_HOLDERS,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the categorical columns that describe customers, as text, in the members' order.

    Text and yes/no columns of the customer table come first, then those of ``customers``; birth
    dates become age bands as of ``as_of``; identifiers, names and addresses are never used.
    Columns of more than 12 values keep the 11 most frequent and "other"; values of fewer than 5
    customers (or ``smallest_cell``, if that is less) become "other" too, since one can be a name
    or a remark.

    Returns
    -------
    (polars.DataFrame, dict)
        The columns, and what was left out with the reason.
    """
    skipped: dict[str, str] = {}
    descriptions = {
        name: table.get_column(name).cast(pl.String)
        for name, kind in table.schema.items()
        if kind in (pl.String, pl.Categorical, pl.Enum) and not personal_columns([name])
    }
    if customers is not None:
        one_row_each = customers.unique("customer_id", keep="first", maintain_order=True)
        joined = members.frame.select("customer_id").join(
            one_row_each, on="customer_id", how="left", maintain_order="left"
        )
        for name, kind in joined.schema.items():
            if kind == pl.Boolean:
                descriptions[name] = joined.get_column(name).replace_strict(
                    {True: "yes", False: "no"}, default=None, return_dtype=pl.String
                )
            elif kind in (pl.String, pl.Categorical, pl.Enum) and not personal_columns([name]):
                descriptions[name] = joined.get_column(name).cast(pl.String)
        if "birth_date" in joined.columns and as_of is not None:
            descriptions["age_band"] = _age_band(joined.get_column("birth_date"), as_of)
        elif "birth_date" in joined.columns:
            skipped["age_band"] = "no as_of date to take the age at"
    for name in list(descriptions):
        column = descriptions[name]
        if column.null_count() == column.len():
            skipped[name] = "no customer has a value"
            del descriptions[name]
        elif column.n_unique() > max(200, column.len() // 20):
            skipped[name] = (
                f"{counted(column.n_unique(), 'value')}: an identifier, not a description"
            )
            del descriptions[name]
        else:
            descriptions[name] = fold_rare(
                column, most=MOST_LEVELS, least=min(smallest_cell, LEAST_HOLDERS)
            )
    return pl.DataFrame(descriptions), skipped


def _age_band(born: pl.Series, as_of: date) -> pl.Series:
    """Return whole years of age at ``as_of`` in bands; null where impossible."""
    frame = pl.DataFrame({"born": born.cast(pl.Date)})
    month, day = (
        part.cast(pl.Int32) for part in (pl.col("born").dt.month(), pl.col("born").dt.day())
    )
    birthday_to_come = month * 100 + day > as_of.month * 100 + as_of.day
    age = as_of.year - pl.col("born").dt.year() - birthday_to_come.cast(pl.Int32)
    whole = frame.select(pl.when(age.is_between(0, IMPOSSIBLE_AGE)).then(age)).to_series()
    present = whole.is_not_null().to_numpy()
    place = np.searchsorted(AGE_FROM[1:], whole.fill_null(0).to_numpy(), side="right")
    bands = pl.DataFrame({"age_band": np.array(AGE_BANDS)[place], "known": present})
    return bands.select(pl.when("known").then("age_band")).to_series()


def levels_of(name: str, column: pl.Series) -> list[str]:
    """Return a description's values in reading order: bands by size, "other" last."""
    values = column.drop_nulls().unique().to_list()
    if name == "age_band":
        return [band for band in AGE_BANDS if band in values]
    return sorted(values, key=lambda value: (value == "other", *_amount_first(value)))


def _amount_first(value: str) -> tuple[float, str]:
    """Sort bands such as "under 25k", "25k-40k", "over 60k" by their amounts."""
    digits = "".join(c if c.isdigit() else " " for c in value).split()
    shift = -0.5 if value.startswith("under") else 0.5 if value.startswith("over") else 0.0
    return (float(digits[0]) + shift if digits else float("inf"), value)


def count_levels(
    members: Members, name: str, column: pl.Series
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return a description's values and their counts, shape (segments, values)."""
    levels = levels_of(name, column)
    codes = column.replace_strict(
        {level: i for i, level in enumerate(levels)}, default=-1, return_dtype=pl.Int64
    ).to_numpy()
    counts = np.stack(
        [
            np.bincount(codes[inside & (codes >= 0)], minlength=len(levels))
            for inside in members.within
        ]
    )
    return levels, counts.astype(np.int64)


def compose(
    members: Members, described: pl.DataFrame, *, smallest_cell: int, level: float
) -> pl.DataFrame:
    """Return one row per segment, description and value: see `Profile`'s ``composition``."""
    tables = [pl.DataFrame(schema=TYPES)]
    for name in described.columns:
        column = described.get_column(name)
        levels, counts = count_levels(members, name, column)
        whole = np.array([int((column == value).sum()) for value in levels])
        known_customers = np.repeat(counts.sum(axis=1), len(levels))
        cells = counts.ravel()
        share = wilson(cells, known_customers, level=level)
        hidden = hide(counts, smallest_cell).ravel()
        table = pl.DataFrame(
            {
                "segment": [s for s in members.segments for _ in levels],
                "segment_name": [s for s in members.names for _ in levels],
                "variable": [name] * cells.size,
                "level": levels * len(members.segments),
                "customers": np.where(hidden, np.nan, cells),
                "known": known_customers,
                "share": np.where(hidden, np.nan, share.value),
                "share_low": np.where(hidden | (known_customers == 0), np.nan, share.low),
                "share_high": np.where(hidden | (known_customers == 0), np.nan, share.high),
                "share_all": np.tile(whole / whole.sum(), len(members.segments)),
                "hidden": hidden,
            }
        )
        tables.append(table.fill_nan(None).cast(TYPES))
    return pl.concat(tables)


def hide(counts: npt.NDArray[np.int64], smallest_cell: int) -> Flags:
    """Return which cells to hide, so that no count from 1 to ``smallest_cell - 1`` can be read.

    If only one cell of a row or column is hidden, its count follows from the total. The smallest
    other non-zero cell is then hidden too, until no hidden cell is alone.

    Examples
    --------
    >>> hide(np.array([[2, 50, 60], [40, 30, 70]]), 5).tolist()
    [[True, True, False], [True, True, False]]
    """
    hidden = (counts > 0) & (counts < smallest_cell)
    for _ in range(counts.size):
        before = hidden.copy()
        for flags, cells in ((hidden, counts), (hidden.T, counts.T)):
            for line, row in zip(flags, cells, strict=True):
                open_cells = np.flatnonzero(~line & (row > 0))
                if line.sum() == 1 and open_cells.size:
                    line[open_cells[np.argmin(row[open_cells])]] = True
        if (before == hidden).all():
            break
    return hidden


TEST_TYPES: dict[Any, type[pl.DataType]] = {
    **dict.fromkeys(["variable", "role", "test"], pl.String),
    **dict.fromkeys(["statistic", "freedom", "p_value", "p_holm", "effect"], pl.Float64),
    **dict.fromkeys(["effect_name", "note"], pl.String),
}


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
    have only the effect size, no test. p-values are adjusted over all tests made (Holm 1979).

    Returns
    -------
    polars.DataFrame
        variable, role ("clustering", "descriptor", "kpi"), test, statistic, freedom, p_value,
        p_holm, effect, effect_name, note.
    """
    rows = []
    labels = members.labels()
    for j, name in enumerate(variables.names):
        column = variables.values[:, j]
        if variables.yes_no[j]:
            counts = [[(column[w] == value).sum() for value in (0, 1)] for w in members.within]
            row = chi_square(np.array(counts))
        else:
            row = kruskal(column, labels)
        rows.append({"variable": name, **row})
    for name in described.columns:
        _, level_counts = count_levels(members, name, described.get_column(name))
        rows.append({"variable": name, **chi_square(level_counts)})
    roles = dict.fromkeys(circular, "clustering") | ({kpi: "kpi"} if kpi else {})
    columns = [name for name in TEST_TYPES if name not in ("role", "p_holm")]
    table = pl.DataFrame(rows, schema={name: TEST_TYPES[name] for name in columns}).with_columns(
        role=pl.col("variable").replace_strict(roles, default="descriptor", return_dtype=pl.String)
    )
    overlap = members.overlapping > 0
    withheld = pl.lit(value=True) if overlap else pl.col("role") == "clustering"
    table = table.with_columns(
        *(pl.when(~withheld).then(c).alias(c) for c in ("statistic", "freedom", "p_value")),
        note=pl.when(withheld).then(pl.lit(OVERLAP if overlap else CIRCULAR)).otherwise("note"),
    )
    holm = adjust(table.get_column("p_value").fill_null(float("nan")).to_numpy())
    table = table.with_columns(p_holm=pl.Series(holm, dtype=pl.Float64))
    return table.fill_nan(None).select(list(TEST_TYPES))


def kruskal(values: Floats, labels: np.ndarray) -> dict[str, object]:
    """Test by ranks whether groups differ; null where fewer than two groups or values differ.

    ``H = (n - 1) SS_between / SS_total`` of the midranks, which holds with ties.

    Examples
    --------
    >>> test = kruskal(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]))
    >>> round(test["statistic"], 2), test["freedom"]
    (2.4, 1)
    """
    from scipy.special import chdtrc

    present = ~np.isnan(values)
    levels, codes = np.unique(values[present], return_inverse=True)
    groups, which = np.unique(labels[present], return_inverse=True)
    if groups.size < 2 or levels.size < 2:
        return _tested("Kruskal-Wallis", "epsilon squared")
    counts = np.bincount(codes)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    sizes = np.bincount(which)
    means = np.bincount(which, weights=ranks) / sizes
    middle = (ranks.size + 1) / 2
    share = float((sizes * (means - middle) ** 2).sum() / ((ranks - middle) ** 2).sum())
    h, freedom = (ranks.size - 1) * share, groups.size - 1
    p = float(chdtrc(freedom, h))
    return _tested("Kruskal-Wallis", "epsilon squared", (h, freedom, p, share), "")


def chi_square(counts: np.ndarray) -> dict[str, object]:
    """Test whether segments (rows) differ in their shares of the values (columns).

    The note says where the approximation is doubtful: more than a fifth of the expected counts
    below 5, or one below 1 (Cochran 1954, Biometrics 10).

    Examples
    --------
    >>> round(chi_square(np.array([[30, 10], [10, 30]]))["statistic"], 1)
    20.0
    """
    test = count_table(counts)
    if np.isnan(test.p_value):
        return _tested("chi-square", "Cramér's V")
    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    doubtful = (expected < 5).mean() > 0.2 or (expected < 1).any()
    figures = (test.statistic, test.freedom, test.p_value, cramers_v(table))
    note = "few expected counts: doubtful" if doubtful else ""
    return _tested("chi-square", "Cramér's V", figures, note)


def _tested(
    test: str,
    effect_name: str,
    figures: Sequence[float | None] = (None, None, None, None),
    note: str = "fewer than two segments or values",
) -> dict[str, object]:
    names = ("statistic", "freedom", "p_value", "effect")
    row = dict(zip(names, figures, strict=True))
    return {"test": test, "effect_name": effect_name, **row, "note": note}


def folds_of(customers: int, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Assign customers to folds of nearly equal size at random."""
    dealt = np.arange(customers) % folds
    return np.random.default_rng(seed).permutation(dealt)


def one_hot(described: pl.DataFrame) -> Floats:
    """Return an intercept and one indicator per value of each description, with one for unknown."""
    columns: list[Floats] = [np.ones(described.height)]
    for name in described.columns:
        codes = described.get_column(name).fill_null("(unknown)").rank("dense").to_numpy() - 1
        columns += [(codes == code).astype(np.float64) for code in range(int(codes.max()) + 1)]
    return np.column_stack(columns)


def held_out_scores(design: Floats, within: Flags, fold: npt.NDArray[np.int64]) -> Floats:
    """Score every customer for every segment by a model fitted without the customer.

    Ridge regression (penalty 1) of membership on the descriptions. It ranks customers like the
    linear discriminant, and has a closed form for all segments at once.
    """
    member = within.T.astype(np.float64)
    scores = np.empty_like(member)
    for f in range(int(fold.max()) + 1):
        train, test = fold != f, fold == f
        gram = design[train].T @ design[train] + np.eye(design.shape[1])
        weights = np.linalg.solve(gram, design[train].T @ member[train])
        scores[test] = design[test] @ weights
    return scores


def predictability(
    members: Members, described: pl.DataFrame, *, folds: int, seed: int, level: float
) -> pl.DataFrame | None:
    """Measure how well descriptions separate each segment from the rest, cross-validated.

    Returns
    -------
    polars.DataFrame or None
        segment, auc, auc_low, auc_high (DeLong's variance, which takes the scores as given);
        null for segments too small to be held out. ``None`` without descriptions.
    """
    if described.width == 0 or members.frame.height < 2 * folds:
        return None
    fold = folds_of(members.frame.height, folds, seed)
    scores = held_out_scores(one_hot(described), members.within, fold)
    rows: list[tuple[str, float | None, float | None, float | None]] = []
    for segment, inside, score in zip(members.segments, members.within, scores.T, strict=True):
        if not folds <= inside.sum() <= inside.size - folds:
            rows.append((segment, None, None, None))
            continue
        # Rounded, so that equal descriptions tie although the folds' weights have rounding errors.
        delta, variance = dominance(score[:, None].round(12), inside[None])
        low, high = delta_limits(delta, variance, level=level)
        areas = [(1 + float(value[0, 0])) / 2 for value in (delta, low, high)]
        rows.append((segment, areas[0], areas[1], areas[2]))
    types = {"segment": pl.String, **dict.fromkeys(("auc", "auc_low", "auc_high"), pl.Float64)}
    return pl.DataFrame(rows, schema=types, orient="row")


def held_out_skill(kpi: Floats, within: Flags, *, folds: int, seed: int) -> Floats:
    """Measure how much better a segment's mean predicts its members' KPI than the overall mean.

    ``1 - SS(from the segment's mean) / SS(from the mean of all)`` over held-out members, means
    taken from the other folds; at or below 0 the segment does not help to predict. NaN where a
    segment has fewer members with a value than folds.

    Examples
    --------
    >>> kpi = np.tile([0.0, 1.0, 10.0, 11.0], 5)
    >>> held_out_skill(kpi, (kpi > 5)[None], folds=5, seed=0).round(2).tolist()
    [0.99]
    """
    fold = folds_of(kpi.size, folds, seed)
    present = np.isfinite(kpi)
    skill = np.full(within.shape[0], np.nan)
    for i, inside in enumerate(within):
        own = inside & present
        if own.sum() < folds:
            continue
        ours = theirs = 0.0
        for f in range(folds):
            train, test = own & (fold != f), own & (fold == f)
            if not train.any() or not test.any():
                continue
            ours += float(((kpi[test] - kpi[train].mean()) ** 2).sum())
            theirs += float(((kpi[test] - kpi[present & (fold != f)].mean()) ** 2).sum())
        skill[i] = 1 - ours / theirs if theirs > 0 else np.nan
    return skill
