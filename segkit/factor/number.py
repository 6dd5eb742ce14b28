"""How many attitudes are behind the answers? Every rule votes, the dissent is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError
from segkit.factor.answers import count_words, join
from segkit.factor.correlation import Correlations, correlate
from segkit.factor.extraction import degrees_of_freedom
from segkit.factor.ladder import fit_by_number, velicer
from segkit.factor.parallel import (
    Null,
    component_eigenvalues,
    factor_eigenvalues,
    null_eigenvalues,
)
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from segkit.plot import Figure

CLOSE_FIT = 0.05  # Browne & Cudeck (1993): an RMSEA up to here is a close fit
VOTERS = {
    "parallel_components": ("parallel analysis of components", "eigenvalues above chance"),
    "parallel_factors": ("parallel analysis of factors", "reduced eigenvalues above chance"),
    "map": ("minimum average partial", "smallest mean squared partial correlation"),
    "scree": ("scree", "sharpest bend of the eigenvalues"),
    "fit": ("fit", f"fewest factors with an RMSEA of at most {CLOSE_FIT}"),
    "bic": ("BIC", "smallest BIC"),
}
# The scree's bend is shown, not counted: it cannot say "none", and finds one factor readily.
_COUNTED = ("parallel_components", "parallel_factors", "map", "fit", "bic")


@dataclass(frozen=True, slots=True, eq=False)
class FactorCount(Result):
    """How many common factors, by every rule, and why.

    Attributes
    ----------
    n_factors : int
        Recommended; 0 means no common factor.
    reason : str
        Why, with the dissent.
    votes : polars.DataFrame
        One row a rule: ``rule``, ``label``, ``n_factors`` (null: no value), ``how``.
    eigenvalues : polars.DataFrame
        One row an item's rank: ``rank``, ``component``, ``component_chance`` (the reference's
        percentile), ``factor``, ``factor_chance``, ``map`` (Velicer's criterion with ``rank``
        components taken out; null where undefined).
    fits : polars.DataFrame
        One row a number of factors: ``n_factors``, ``chi_square``, ``degrees``, ``rmsea``,
        ``tli``, ``cfi``, ``srmr``, ``bic``, ``heywood``.
    map_at_zero : float
        Velicer's criterion with nothing taken out.
    n, draws : int
        People; matrices of the reference.
    percentile : float
        Of the reference that an eigenvalue must exceed, as a share.
    reference : str
        "normal" or "permutation".
    seed : int
        -1 where a Generator was handed in.
    """

    n_factors: int
    reason: str
    votes: pl.DataFrame
    eigenvalues: pl.DataFrame
    fits: pl.DataFrame
    map_at_zero: float
    n: int
    draws: int
    percentile: float
    reference: str
    seed: int

    def to_frame(self) -> pl.DataFrame:
        """Return the votes."""
        return self.votes

    @property
    def text(self) -> str:
        """Say how many factors, who says so and who does not."""
        return self.reason

    def plot(self) -> Figure:
        """Draw the scree with the eigenvalues that chance gives."""
        from segkit.plot.factors import scree

        return scree(self.eigenvalues, n_factors=self.n_factors, percentile=self.percentile)


@single_thread()
@takes_frames
def how_many_factors(
    found: Correlations | pl.DataFrame,
    items: Sequence[str] | None = None,
    *,
    draws: int = 100,
    percentile: float = 0.95,
    reference: str = "normal",
    most: int | None = None,
    seed: int | np.random.Generator = 0,
) -> FactorCount:
    """How many common factors are behind the answers, or is there none?

    Parallel analysis compares the eigenvalues of Pearson's correlations with those of unrelated
    items (Horn 1965; percentile instead of mean: Glorfeld 1995), also where the model itself
    rests on polychoric ones, whose sampling spread the reference does not have. If not even the
    first eigenvalue exceeds its percentile, the verdict is no common factor: wrong in at most
    ``1 - percentile`` of data sets without one. Else the rules vote; a tie goes to the parallel
    analysis of components.

    Parameters
    ----------
    found : Correlations or polars.DataFrame
        A frame is correlated (Pearson, pairwise) first.
    items : sequence of str, optional
        Of the frame.
    draws : int
        Matrices of the reference.
    percentile : float
    reference : str
        "normal" or "permutation" (needs a frame; only people who answered everything).
    most : int, optional
        Factors fitted at most; by default 12, or as many as the items identify.
    seed : int or Generator

    Raises
    ------
    DataError
        If there are fewer than three items.
    ParameterError
        For unknown options.

    Examples
    --------
    >>> r = np.eye(6) * 0.4 + 0.6
    >>> how_many_factors(Correlations.given(r, 200)).n_factors
    1
    """
    if not 0 < percentile < 1:
        raise ParameterError(f"percentile is a share between 0 and 1, got {percentile}")
    values = None
    if isinstance(found, pl.DataFrame):
        given, found = found, correlate(found, items)
        whole = given.select(pl.col(found.items).cast(pl.Float64)).drop_nulls()
        values = whole.to_numpy() if reference == "permutation" else None
    p = len(found.items)
    if p < 3:
        raise DataError(f"common factors need at least three items, got {p}")
    if reference == "permutation" and values is None:
        raise ParameterError('reference="permutation" needs the frame of answers')
    people = _people(found) if values is None else len(values)
    null = null_eigenvalues(people, p, draws=draws, seed=seed, reference=reference, values=values)
    eigenvalues, at_zero = _table(found, null, percentile)
    fits = fit_by_number(found, most)
    votes = _votes(eigenvalues, at_zero, fits)
    count, reason = _decide(votes, found, percentile)
    return FactorCount(
        count, reason, votes, eigenvalues, fits, at_zero, found.n, draws, percentile, reference,
        seed if isinstance(seed, int) else -1,
    )  # fmt: skip


def _people(found: Correlations) -> int:
    """Return the number of people a typical correlation rests on (harmonic mean)."""
    counts = found.counts[np.triu_indices(len(found.items), 1)]
    return max(len(found.items) + 1, int(1 / np.mean(1 / counts)))


def _table(found: Correlations, null: Null, percentile: float) -> tuple[pl.DataFrame, float]:
    r = found.product_moment
    if np.linalg.eigvalsh(r)[0] <= 1e-8:
        r = found.matrix  # pairwise and not positive definite: the smoothed one
    at_zero, partials = velicer(found.matrix)
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(r) + 1),
            "component": component_eigenvalues(r),
            "component_chance": np.quantile(null.components, percentile, axis=0),
            "factor": factor_eigenvalues(r),
            "factor_chance": np.quantile(null.factors, percentile, axis=0),
            "map": partials,
        }
    )
    return frame.with_columns(pl.col("map").fill_nan(None)), at_zero


def _above(eigenvalues: pl.DataFrame, kind: str) -> int:
    """Count the leading eigenvalues that exceed those of chance."""
    above = eigenvalues[kind].to_numpy() > eigenvalues[f"{kind}_chance"].to_numpy()
    return int(above.argmin()) if not above.all() else len(above)


def _votes(eigenvalues: pl.DataFrame, at_zero: float, fits: pl.DataFrame) -> pl.DataFrame:
    partials = [at_zero, *eigenvalues["map"].fill_null(np.inf).to_list()]
    values = eigenvalues["component"].to_numpy()
    bends = values[:-2] - 2 * values[1:-1] + values[2:]  # Raiche et al. (2013): acceleration
    chosen: dict[str, int | None] = {
        "parallel_components": _above(eigenvalues, "component"),
        "parallel_factors": _above(eigenvalues, "factor"),
        "map": int(np.argmin(partials)),
        "scree": int(np.argmax(bends)) + 1 if len(values) > 2 else None,
        "fit": None,
        "bic": None,
    }
    clean = fits.filter(pl.col("heywood") == 0)
    close = clean.filter(pl.col("rmsea") <= CLOSE_FIT)
    if close.height:
        chosen["fit"] = int(close["n_factors"][0])
    if clean.height:
        chosen["bic"] = int(clean.sort("bic")["n_factors"][0])
    return pl.DataFrame(
        [(rule, *VOTERS[rule][:1], k, VOTERS[rule][1]) for rule, k in chosen.items()],
        schema={"rule": pl.String, "label": pl.String, "n_factors": pl.Int64, "how": pl.String},
        orient="row",
    )


def _decide(votes: pl.DataFrame, found: Correlations, percentile: float) -> tuple[int, str]:
    cast = dict(votes.select("rule", "n_factors").iter_rows())
    if cast["parallel_components"] == 0:
        return 0, (
            "There is no common factor: not even the largest eigenvalue exceeds what "
            f"{percent(percentile, places=0)} of samples of {number(found.n)} people give whose "
            "items have nothing to do with each other. Scores would be noise."
        )
    p = len(found.items)
    counted = [k for rule in _COUNTED if (k := cast[rule]) and degrees_of_freedom(p, k) >= 0]
    if not counted:
        return 1, "One factor is all that these items identify; the rules have no say."
    most = max(counted.count(k) for k in counted)
    count = next(k for k in counted if counted.count(k) == most)  # in order of trust
    labels = votes.filter(pl.col("rule").is_in(_COUNTED))
    backers = labels.filter(pl.col("n_factors") == count)["label"].to_list()
    verb = "is" if count == 1 else "are"
    parts = [
        (
            f"{number(count)} common factor{'s' * (count > 1)} {verb} recommended: "
            f"{number(len(backers))} of {number(labels['n_factors'].count())} rules vote for "
            f"{number(count)} ({join(backers)})."
        )
    ]
    if sum(counted.count(k) == most for k in set(counted)) > 1:
        parts.append("The vote is tied; the first of the rules in order of trust decides.")
    for other in sorted({k for k in cast.values() if k is not None} - {count}):
        says = votes.filter(pl.col("n_factors") == other)["label"].to_list()
        parts.append(f"The {join(says)} {'say' if len(says) > 1 else 'says'} "
                     f"{count_words(other, 'factor')}.")  # fmt: skip
    return count, " ".join(parts)
