"""Out of sample: can descriptors tell who is in a segment, and does the segment tell the KPI."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.profile.dominance import dominance
from segkit.profile.members import Flags, Floats, Members
from segkit.stats.effects import delta_limits


def folds_of(customers: int, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Deal customers into folds of nearly equal size at random."""
    dealt = np.arange(customers) % folds
    return np.random.default_rng(seed).permutation(dealt)


def one_hot(described: pl.DataFrame) -> Floats:
    """Return a column of ones and one for each value of each description, unknown ones apart."""
    columns: list[Floats] = [np.ones(described.height)]
    for name in described.columns:
        codes = described.get_column(name).fill_null("(unknown)").rank("dense").to_numpy() - 1
        columns += [(codes == code).astype(np.float64) for code in range(int(codes.max()) + 1)]
    return np.column_stack(columns)


def held_out_scores(design: Floats, within: Flags, fold: npt.NDArray[np.int64]) -> Floats:
    """Score every customer for every segment by a model that has not seen the customer.

    Ridge regression (penalty 1) of membership on the descriptions: for ranking customers it is
    the linear discriminant, in closed form for all segments at once.
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
    """Measure how well descriptions tell each segment from the rest, cross-validated.

    Returns
    -------
    polars.DataFrame or None
        segment, auc, auc_low, auc_high (DeLong's variance, which takes the scores as given);
        null for segments too small to be held out. ``None`` without descriptions.
    """
    if described.width == 0 or members.frame.height < 2 * folds:
        return None
    scores = held_out_scores(
        one_hot(described), members.within, folds_of(members.frame.height, folds, seed)
    )
    rows = []
    for i, segment in enumerate(members.segments):
        inside = members.within[i : i + 1]
        # Rounded, so that equal descriptions tie although folds' weights differ in the last bits.
        delta, variance = dominance(scores[:, i : i + 1].round(12), inside)
        low, high = delta_limits(delta, variance, level=level)
        enough = folds <= inside.sum() <= inside.size - folds
        found = [(1 + float(v[0, 0])) / 2 if enough else None for v in (delta, low, high)]
        rows.append(
            dict(zip(("segment", "auc", "auc_low", "auc_high"), [segment, *found], strict=True))
        )
    types = {"segment": pl.String, **dict.fromkeys(("auc", "auc_low", "auc_high"), pl.Float64)}
    return pl.DataFrame(rows, schema=types)


def held_out_skill(kpi: Floats, within: Flags, *, folds: int, seed: int) -> Floats:
    """Measure how much better a segment's mean foretells its members' KPI than the mean of all.

    ``1 - SS(from the segment's mean) / SS(from the mean of all)`` over held-out members, means
    taken from the other folds; at or below 0 the segment says nothing that lasts. NaN where a
    segment has fewer members with a value than folds.

    Examples
    --------
    >>> kpi = np.tile([0.0, 1.0, 10.0, 11.0], 5)
    >>> held_out_skill(kpi, (kpi > 5)[None], folds=5, seed=0).round(2).tolist()
    [0.99]
    """
    fold = folds_of(kpi.size, folds, seed)
    known = np.isfinite(kpi)
    skill = np.full(within.shape[0], np.nan)
    for i, inside in enumerate(within):
        own = inside & known
        if own.sum() < folds:
            continue
        ours = theirs = 0.0
        for f in range(folds):
            train, test = own & (fold != f), own & (fold == f)
            if not train.any() or not test.any():
                continue
            ours += float(((kpi[test] - kpi[train].mean()) ** 2).sum())
            theirs += float(((kpi[test] - kpi[known & (fold != f)].mean()) ** 2).sum())
        skill[i] = 1 - ours / theirs if theirs > 0 else np.nan
    return skill
