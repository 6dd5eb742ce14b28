"""For which number of segments does each criterion vote? The criteria and their rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.errors import ParameterError, unknown


@dataclass(frozen=True, slots=True)
class Criterion:
    """One way to judge a number of segments.

    Attributes
    ----------
    name, label : str
        Column in the table, and the words for a reader.
    rule : str
        How it votes: "highest", "lowest", "first_gap" (Tibshirani et al. 2001), "last_above"
        (Tibshirani and Walther 2005), "last_near_best".
    words : str
        The rule in words.
    """

    name: str
    label: str
    rule: str
    words: str


# In order of trust: where votes tie, the criterion named first decides. Whether segments come out
# again stands first, for that is what makes them worth acting on.
CRITERIA = {
    c.name: c
    for c in (
        Criterion(
            "stability",
            "stability",
            "last_near_best",
            "the largest k whose adjusted Rand index is within a standard error of the best",
        ),
        Criterion(
            "prediction_strength",
            "prediction strength",
            "last_above",
            "the largest k whose strength plus its standard error is at least .8",
        ),
        Criterion(
            "gap",
            "gap statistic",
            "first_gap",
            "the smallest k whose gap is at least the next one's less its standard error",
        ),
        Criterion("silhouette", "silhouette", "highest", "the highest mean silhouette"),
        Criterion(
            "davies_bouldin", "Davies-Bouldin index", "lowest", "the least overlap of neighbours"
        ),
        Criterion(
            "calinski_harabasz", "Calinski-Harabasz index", "highest", "the highest variance ratio"
        ),
        Criterion("bic", "BIC of a Gaussian mixture", "lowest", "the lowest BIC"),
        Criterion(
            "squared_silhouette",
            "silhouette by squared distance",
            "highest",
            "the highest mean silhouette by squared distance",
        ),
    )
}
QUICK = ("silhouette", "davies_bouldin", "calinski_harabasz")
VOTERS = tuple(name for name in CRITERIA if name != "squared_silhouette")
STRENGTH = 0.8


def check_criteria(criteria: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the criteria in order of trust.

    Raises
    ------
    ParameterError
        If one is unknown, or none is given.

    Examples
    --------
    >>> check_criteria(["silhouette", "gap"])
    ('gap', 'silhouette')
    """
    for name in criteria:
        if name not in CRITERIA:
            raise ParameterError(unknown("criterion", name, CRITERIA))
    if not criteria:
        raise ParameterError(f"name at least one criterion: {', '.join(CRITERIA)}")
    return tuple(name for name in CRITERIA if name in criteria)


def vote(criterion: Criterion, table: pl.DataFrame) -> int | None:
    """For which k does a criterion vote? None where it has no value.

    Parameters
    ----------
    criterion : Criterion
    table : polars.DataFrame
        Columns ``k``, the criterion's name and, for some rules, its name + ``_se``; k rising.

    Examples
    --------
    >>> table = pl.DataFrame({"k": [2, 3, 4], "silhouette": [0.2, 0.6, 0.5]})
    >>> vote(CRITERIA["silhouette"], table)
    3
    """
    error = f"{criterion.name}_se"
    kept = table.select("k", criterion.name, *([error] if error in table.columns else []))
    kept = kept.filter(pl.col(criterion.name).is_finite())
    if kept.is_empty():
        return None
    ks = kept["k"].to_numpy()
    values = kept[criterion.name].to_numpy()
    errors = kept[error].fill_null(0.0).to_numpy() if error in kept.columns else 0.0 * values
    return int(ks[_place(criterion.rule, values, errors)])


def _place(rule: str, values: np.ndarray, errors: np.ndarray) -> int:
    if rule == "highest":
        return int(values.argmax())
    if rule == "lowest":
        return int(values.argmin())
    if rule == "first_gap":
        enough = np.flatnonzero(values[:-1] >= values[1:] - errors[1:])
        return int(enough[0]) if len(enough) else len(values) - 1
    if rule == "last_above":
        enough = np.flatnonzero(values + errors >= STRENGTH)
        return int(enough[-1]) if len(enough) else int(values.argmax())
    best = int(values.argmax())
    return int(np.flatnonzero(values >= values[best] - errors[best])[-1])
