"""Which cloud is a customer from, and how surely? Gaussian mixtures, chosen by BIC."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.cluster.division import Division, by_size, segment_ids
from segkit.cluster.matrix import distinct_rows, fair_order, feature_rows, fitted_transform
from segkit.cluster.mixture_model import Component, MixtureModel, deviances, probabilities
from segkit.cluster.naming import name_segments
from segkit.cluster.scoring import reaches
from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, unknown
from segkit.frames import takes_frames
from segkit.live import steps
from segkit.stats.threads import single_thread
from segkit.transform import Transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SHAPES = ("full", "tied", "diag", "spherical")
MAX_ROWS = 20_000
# Variance that every component has at least in every direction, where all customers have one.
FLOOR = 1e-4
SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Candidate:
    """One fitted mixture: the best of its starts."""

    k: int
    shape: str
    bic: float
    log_likelihood: float
    parameters: int
    smallest: int
    reached: int
    converged: bool
    fitted: Any


@takes_frames
def cluster_mixture(
    frame: Any,
    *,
    features: Sequence[str],
    k: int | None = None,
    shapes: Sequence[str] = SHAPES,
    k_range: Sequence[int] = range(1, 9),
    starts: int = 5,
    transform: Transform | None = None,
    floor: float = FLOOR,
    max_rows: int = MAX_ROWS,
    words: Mapping[str, tuple[str, str]] | None = None,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
    seed: int = 0,
) -> Division:
    """Divide customers by a mixture of normal clouds, with each one's probability of each segment.

    Every number of segments is fitted with every shape of covariance, and the lowest BIC is taken:
    Schwarz (1978), "Estimating the dimension of a model"; Fraley and Raftery (2002), "Model-based
    clustering, discriminant analysis, and density estimation" (who write its negative). A
    candidate with a segment of fewer than d + 1 customers is not admitted: its likelihood can be
    as high as one likes.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row a customer: ``customer_id`` and numeric columns.
    features : sequence of str
    k : int, optional
        Number of segments; by default that of the lowest BIC among two and more of ``k_range``.
    shapes : sequence of {"full", "tied", "diag", "spherical"}
        Of the covariances: free, one for all, without correlations, round.
    k_range : sequence of int
    starts : int
        Starts of each candidate, each from a k-means of its own, of which the likeliest is kept.
    transform : Transform, optional
        Proposed and fitted here by default.
    floor : float
        Least variance of a segment in every direction, in squared units of the matrix.
    max_rows : int
        EM runs on a random sample of so many customers (drawn by their values, so row order does
        not matter); everyone is assigned.
    words, definitions, as_of
        As for `segkit.cluster.cluster_customers`.
    seed : int

    Returns
    -------
    Division
        With ``posterior``; ``compared`` holds k, shape, bic, log_likelihood, parameters, smallest
        (customers of the smallest segment), reached (starts that came to the best), admitted,
        chosen.

    Raises
    ------
    ColumnError, DataError, ParameterError
        As `segkit.cluster.cluster_customers`; DataError also where no candidate is admitted.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([rng.normal(0, 1, 60), rng.normal(9, 1, 40)])
    >>> table = pl.DataFrame({"customer_id": [f"{i:03}" for i in range(100)], "visits": x})
    >>> found = cluster_mixture(table, features=["visits"], transform=Transform.of(["visits"]))
    >>> found.k, found.segments["customers"].to_list()
    (2, [60, 40])
    """
    _check(k, shapes, k_range, starts, floor)
    table = feature_rows(frame, features)
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    ks = [k] if k is not None else sorted({int(one) for one in k_range})
    distinct = distinct_rows(X, max(*ks, 2) + 1)
    if distinct < (k or 2):
        raise DataError(
            f"{number(k or 2)} segments need as many different customers; among "
            f"{number(table.height)} there are {number(distinct)} with different features"
        )
    some = X[fair_order(X, seed)[:max_rows]]
    least = X.shape[1] + 1
    most = min(distinct, len(some))
    candidates = [(count, shape) for count in ks if count <= most for shape in shapes]
    with single_thread():
        tried = [
            _best(some, count, shape, starts, floor, seed)
            for count, shape in steps(candidates, "mixtures")
        ]
    admitted = [c for c in tried if c.smallest >= least or c.k == 1]
    wanted = [c for c in admitted if c.k == k or (k is None and c.k > 1)]
    if not wanted:
        raise DataError(
            f"no mixture with k = {', '.join(str(one) for one in ks)} leaves every segment "
            f"{least} of {number(len(some))} customers or more; ask for fewer segments"
        )
    chosen = min(wanted, key=lambda c: c.bic)
    components = _components(X, chosen, fitted, words or {})
    model = MixtureModel(
        fitted, components, chosen.shape, dict(definitions or {}), as_of, table.height,
        len(some), seed, _version(),
    )  # fmt: skip
    return _division(table, model, tried, admitted, chosen, starts)


def _check(
    k: int | None, shapes: Sequence[str], k_range: Sequence[int], starts: int, floor: float
) -> None:
    for shape in shapes:
        if shape not in SHAPES:
            raise ParameterError(unknown("shape of covariance", shape, SHAPES))
    if k is not None and k < 2:
        raise ParameterError(f"k must be at least 2 (or None to choose it); got {k}")
    if not shapes or starts < 1 or floor <= 0 or min(k_range, default=0) < 1:
        raise ParameterError(
            "expected one shape or more, starts >= 1, floor > 0, k_range of numbers from 1; got "
            f"{list(shapes)}, {starts}, {floor}, {list(k_range)}"
        )


def _version() -> str:
    from segkit import __version__

    return __version__


def _best(X: Floats, k: int, shape: str, starts: int, floor: float, seed: int) -> Candidate:
    """Fit one k and shape from several starts and keep the likeliest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    fits = []
    for start in range(starts if k > 1 else 1):
        model = GaussianMixture(
            k, covariance_type=shape, reg_covar=floor, init_params="kmeans",
            max_iter=500, tol=1e-5, random_state=seed + start,
        )  # fmt: skip
        with warnings.catch_warnings():
            # Unconverged EM gives a valid, slightly low likelihood; ``converged`` says so.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X)
        fits.append((float(model.score(X)), model))
    best, model = max(fits, key=lambda pair: pair[0])
    counts = np.bincount(model.predict(X), minlength=k)
    reached = sum(mean >= best - SAME * max(1.0, abs(best)) for mean, _ in fits)
    return Candidate(
        k, shape, float(model.bic(X)), best * len(X), int(model._n_parameters()),
        int(counts.min()), reached, bool(model.converged_), model,
    )  # fmt: skip


def _factors(model: Any, d: int) -> list[Floats]:
    """Return each component's (d, d) factor of the inverse covariance, whatever the shape."""
    found = model.precisions_cholesky_
    shape = model.covariance_type
    if shape == "full":
        return list(found)
    if shape == "tied":
        return [found] * model.n_components
    return [np.diag(np.broadcast_to(one, (d,))) for one in found]


def _components(
    X: Floats, chosen: Candidate, transform: Transform, words: Mapping[str, tuple[str, str]]
) -> tuple[Component, ...]:
    """Return the segments by falling size, named by what marks them."""
    model = chosen.fitted
    original = transform.invert(model.means_).to_dicts()
    factors = _factors(model, X.shape[1])
    bare = [
        Component(
            "", "", 0, float(model.weights_[g]), original[g], tuple(model.means_[g].tolist()),
            tuple(tuple(row) for row in factors[g].tolist()), 0.0,
        )
        for g in range(chosen.k)
    ]  # fmt: skip
    order = by_size(deviances(X, bare).argmin(axis=1), model.means_)
    bare = [bare[g] for g in order]
    deviance = deviances(X, bare)
    groups = deviance.argmin(axis=1)
    spread = X.std(axis=0)
    means = np.array([X[groups == g].mean(axis=0) for g in range(chosen.k)])
    names = name_segments((means - X.mean(axis=0)) / spread, transform.names, words)
    counts = np.bincount(groups, minlength=chosen.k)
    reach = reaches(deviance)
    return tuple(
        Component(
            name, names[g], int(counts[g]), c.weight, c.centre, c.mean, c.factor, reach[g]
        )
        for g, (name, c) in enumerate(zip(segment_ids(chosen.k), bare, strict=True))
    )  # fmt: skip


def _division(
    table: pl.DataFrame,
    model: MixtureModel,
    tried: list[Candidate],
    admitted: list[Candidate],
    chosen: Candidate,
    starts: int,
) -> Division:
    result = model.score(table)
    compared = pl.DataFrame(
        [
            {
                "k": c.k, "shape": c.shape, "bic": c.bic, "log_likelihood": c.log_likelihood,
                "parameters": c.parameters, "smallest": c.smallest, "reached": c.reached,
                "converged": c.converged, "admitted": c in admitted, "chosen": c is chosen,
            }
            for c in tried
        ]
    )  # fmt: skip
    sure = probabilities(deviances(model.transform.apply(table), model.components)).max(axis=1)
    share = percent(float(np.mean(sure >= 0.9)))
    notes = [f"{share} of customers are in their segment with a probability of 90% or more."]
    single = [c for c in admitted if c.k == 1]
    if single and min(single, key=lambda c: c.bic).bic <= chosen.bic:
        notes.append(
            "One single cloud has a lower BIC than any mixture: this is no evidence of groups."
        )
    notes.append(
        "BIC also adds clouds to follow one that is not normal, so they need not be groups."
    )
    sample = model.fitted_rows < model.rows
    rows = f" on a random {number(model.fitted_rows)} of them" if sample else ""
    return Division(
        assignments=result.select("customer_id", "segment", "segment_name", "probability"),
        posterior=model.posterior(table),
        model=model,
        segments=model.to_frame(),
        method="mixture",
        k=chosen.k,
        compared=compared,
        criterion="bic",
        found_by=(
            f"a Gaussian mixture with {chosen.shape} covariances (BIC {number(chosen.bic)}, the "
            f"lowest of {number(len(admitted))} candidates admitted; {number(chosen.reached)} of "
            f"{number(starts)} starts reached it{rows})"
        ),
        notes=tuple(notes),
    )
