"""Gaussian mixtures of customers, chosen by BIC: fit, segmentation and model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import polars as pl

from segkit import __version__
from segkit.cluster.matrix import (
    Floats,
    Ints,
    distinct_rows,
    fair_order,
    feature_rows,
    fit_quietly,
    fitted_transform,
    require_distinct,
    wanted_counts,
)
from segkit.cluster.scorers import ProbabilityScorer, finish_parts
from segkit.cluster.segments import Segmentation, name_segments
from segkit.display import counted, number
from segkit.errors import DataError, ModelError, ParameterError, require_choice, require_least
from segkit.frames import takes_frames
from segkit.progress import steps
from segkit.result import check_number, check_numbers
from segkit.stats.threads import single_thread
from segkit.transform import Transform

Shape = Literal["full", "tied", "diag", "spherical"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
MAX_ROWS = 20_000
# Minimum variance of every component in every direction; the variance of all customers is 1.
FLOOR = 1e-4
SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Component:
    """One segment of a mixture.

    Attributes
    ----------
    id, name : str
    size : int
        Customers whose most probable segment this was at the fit.
    weight : float
        Its share of the mixture.
    centre : dict of str to float
        Location in original units (see the transform for what kind of mean it is).
    mean : tuple of d floats
        The same in the transformed matrix.
    factor : tuple of d tuples of d floats
        Upper triangular F with F Fᵀ the inverse covariance: ``(x - mean) F`` has unit variance.
    reach : float
        Distance beyond which a customer counts as unlike any segment.
    """

    id: str
    name: str
    size: int
    weight: float
    centre: dict[str, float]
    mean: tuple[float, ...]
    factor: tuple[tuple[float, ...], ...]
    reach: float


def deviances(X: Floats, components: Sequence[Component]) -> Floats:
    """Return -2 log(weight x density) of every row under every component.

    Computed column by column with elementwise operations, so a row gets exactly the same value
    alone and in a batch.

    Parameters
    ----------
    X : array (n, d)
    components : sequence of k Component

    Returns
    -------
    array (n, k)

    Examples
    --------
    >>> one = Component("S1", "", 1, 1.0, {}, (0.0,), ((1.0,),), 9.0)
    >>> deviances(np.array([[0.0], [2.0]]), [one]).round(3).tolist()
    [[1.838], [5.838]]
    """
    total = np.empty((X.shape[0], len(components)))
    columns = np.ascontiguousarray(X.T)
    for place, component in enumerate(components):
        factor = np.array(component.factor)
        gaps = [column - middle for column, middle in zip(columns, component.mean, strict=True)]
        flat = X.shape[1] * np.log(2 * np.pi) - 2 * np.log(np.diag(factor)).sum()
        value = np.full(X.shape[0], flat - 2 * np.log(component.weight))
        for j in range(X.shape[1]):
            part = np.zeros(X.shape[0])
            for i in np.flatnonzero(factor[:, j]):
                part += gaps[i] * factor[i, j]
            value += part * part
        total[:, place] = value
    return total


@dataclass(frozen=True, slots=True, eq=False)
class MixtureModel(ProbabilityScorer):
    """Model that gives the probability of each segment of a Gaussian mixture for a customer.

    Attributes
    ----------
    shape : str
        Of the covariances: "full", "tied", "diag" or "spherical".
    as_of : date or None
    rows, fitted_rows : int
        Customers of the fit, and customers that EM ran on.
    seed : int
    version : str
        segkit's version at the fit.
    definitions : dict of str to str
        Feature to its definition, where the customer table gave one.
    components : tuple of Component
    transform : Transform
        Fitted steps from the customer table's columns to the matrix.
    """

    KIND: ClassVar[str] = "mixture"
    PARTS: ClassVar[str] = "components"
    PART: ClassVar[type[Any]] = Component

    shape: str
    as_of: date | None
    rows: int
    fitted_rows: int
    seed: int
    version: str
    definitions: dict[str, str]
    components: tuple[Component, ...]
    transform: Transform

    def check_part(self, one: Component) -> None:
        """Raise ``ModelError`` if this segment's mean or covariance does not cover all columns."""
        d = len(self.features)
        check_number(f"the weight of {one.id}", one.weight, above=0, most=1)
        check_numbers(f"the mean of {one.id}", one.mean, d)
        if len(one.factor) != d:
            raise ModelError(
                f"the factor of {one.id} must have {counted(d, 'row')}; got {len(one.factor)}"
            )
        for place, row in enumerate(one.factor):
            check_numbers(f"row {place} of the factor of {one.id}", row, d)
            check_number(f"the diagonal of the factor of {one.id}", row[place], above=0)

    def _distances(self, frame: pl.DataFrame) -> Floats:
        """Return -2 log(weight x density) of each row in each segment, shape (n, k)."""
        return deviances(self.transform.apply(frame), self.components)

    def describe(self, one: Component) -> dict[str, Any]:
        """Return a segment's weight and its centre in original units."""
        return {"weight": one.weight, **one.centre}

    @property
    def wording(self) -> tuple[str, str, str]:
        """Phrases for `text`: the segments, where new customers go, what is unlike any."""
        features = counted(len(self.features), "feature")
        segments = f"segments by a Gaussian mixture ({self.shape} covariances) from {features}"
        return segments, "most probable segment", "less likely under it"

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        return cls._rebuild(data, transform=Transform.from_data(data["transform"]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One fitted mixture: the best of its starts; the fields are columns of ``compared``."""

    k: int
    shape: str
    bic: float
    log_likelihood: float
    parameters: int
    smallest: int
    reached: int
    converged: bool
    admitted: bool
    fitted: Any


@takes_frames
def cluster_mixture(
    frame: Any,
    *,
    features: Sequence[str],
    k: int | None = None,
    shapes: Sequence[Shape] = SHAPES,
    k_range: Sequence[int] = range(1, 9),
    starts: int = 5,
    transform: Transform | None = None,
    floor: float = FLOOR,
    max_rows: int = MAX_ROWS,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
    seed: int = 0,
) -> Segmentation:
    """Segment customers by a Gaussian mixture, with each one's probability of each segment.

    Every number of segments is fitted with every shape of covariance, and the lowest BIC is taken:
    Schwarz (1978), "Estimating the dimension of a model"; Fraley and Raftery (2002), "Model-based
    clustering, discriminant analysis, and density estimation" (who write its negative). A
    candidate with a segment of fewer than d + 1 customers is not admitted: its covariance is
    singular, so its likelihood is unbounded.

    Parameters
    ----------
    frame : polars or pandas DataFrame
        One row per customer: ``customer_id`` and numeric columns.
    features : sequence of str
    k : int, optional
        Number of segments; by default that of the lowest BIC among two and more of ``k_range``.
    shapes : sequence of {"full", "tied", "diag", "spherical"}
        Of the covariances: full, the same for all segments, diagonal, or a multiple of the
        identity.
    k_range : sequence of int
    starts : int
        Starts of each candidate, each from its own k-means; the one with the highest likelihood is
        kept.
    transform : Transform, optional
        Proposed and fitted here by default.
    floor : float
        Minimum variance of a segment in every direction, in squared units of the matrix.
    max_rows : int
        EM runs on a random sample of at most this many customers (chosen by their values, so row
        order does not matter); all customers are assigned.
    definitions, as_of
        As for `segkit.cluster.cluster_customers`.
    seed : int

    Returns
    -------
    Segmentation
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
    >>> plain = Transform.of(["visits"])
    >>> few = {"k_range": range(1, 4), "shapes": ["full", "tied"]}
    >>> segmentation = cluster_mixture(table, features=["visits"], transform=plain, **few)
    >>> segmentation.k, segmentation.segments["customers"].to_list()
    (2, [60, 40])
    """
    for shape in shapes:
        require_choice("shape of covariance", shape, SHAPES)
    require_least(shapes=(len(shapes), 1), starts=(starts, 1))
    if floor <= 0:
        raise ParameterError(f"expected floor > 0, got {floor}")
    ks = wanted_counts(k, k_range, 1)
    table = feature_rows(frame, features)
    fitted = fitted_transform(table, features, transform)
    X = fitted.apply(table)
    distinct = distinct_rows(X, max(*ks, 2) + 1)
    require_distinct(distinct, k or 2, table.height)
    sampled = X[fair_order(X, seed)[:max_rows]]
    most = min(distinct, len(sampled))
    candidates = [(count, shape) for count in ks if count <= most for shape in shapes]
    with single_thread():
        tried = [
            _best(sampled, count, shape, starts, floor, seed)
            for count, shape in steps(candidates, "mixtures")
        ]
    wanted = [c for c in tried if c.admitted and (c.k == k or (k is None and c.k > 1))]
    if not wanted:
        raise DataError(
            f"every mixture with k = {', '.join(map(str, ks))} has a segment of fewer than "
            f"{X.shape[1] + 1} of {counted(len(sampled), 'customer')}; set a smaller k"
        )
    chosen = min(wanted, key=lambda c: c.bic)
    model = MixtureModel(
        shape=chosen.shape,
        as_of=as_of,
        rows=table.height,
        fitted_rows=len(sampled),
        seed=seed,
        version=__version__,
        definitions=dict(definitions or {}),
        components=_components(X, chosen.fitted, fitted),
        transform=fitted,
    )
    return _segmentation(table, model, tried, chosen, starts)


def _best(X: Floats, k: int, shape: str, starts: int, floor: float, seed: int) -> Candidate:
    """Fit one k and shape from several starts and keep the likeliest."""
    from sklearn.mixture import GaussianMixture

    fits = []
    for start in range(starts if k > 1 else 1):
        model = GaussianMixture(
            k,
            covariance_type=shape,
            reg_covar=floor,
            init_params="kmeans",
            max_iter=500,
            tol=1e-5,
            random_state=seed + start,
        )
        fit_quietly(model, X)  # unconverged, its likelihood is slightly low: ``converged`` says so
        fits.append((float(model.score(X)), model))
    best, model = max(fits, key=lambda pair: pair[0])
    smallest = int(np.bincount(model.predict(X), minlength=k).min())
    return Candidate(
        k=k,
        shape=shape,
        bic=float(model.bic(X)),
        log_likelihood=best * len(X),
        parameters=int(model._n_parameters()),
        smallest=smallest,
        reached=sum(mean >= best - SAME * max(1.0, abs(best)) for mean, _ in fits),
        converged=bool(model.converged_),
        admitted=smallest > X.shape[1] or k == 1,
        fitted=model,
    )


def _factors(model: Any, d: int) -> list[Floats]:
    """Return each component's (d, d) factor of the inverse covariance, whatever the shape."""
    factors = model.precisions_cholesky_
    shape = model.covariance_type
    if shape == "full":
        return list(factors)
    if shape == "tied":
        return [factors] * model.n_components
    return [np.diag(np.broadcast_to(scale, (d,))) for scale in factors]


def _components(X: Floats, model: Any, transform: Transform) -> tuple[Component, ...]:
    """Return the segments by decreasing size, named by their most distinctive features."""
    fitted = zip(
        model.weights_.tolist(),
        transform.invert(model.means_).to_dicts(),
        model.means_.tolist(),
        _factors(model, X.shape[1]),
        strict=True,
    )
    bare = [
        Component("", "", 0, weight, centre, tuple(mean), tuple(map(tuple, factor.tolist())), 0.0)
        for weight, centre, mean, factor in fitted
    ]

    def name(_: Any, groups: Ints) -> list[str]:
        means = np.array([X[groups == g].mean(axis=0) for g in range(len(bare))])
        return name_segments((means - X.mean(axis=0)) / X.std(axis=0), transform.names)

    return finish_parts(bare, deviances(X, bare), model.means_, name)


def _segmentation(
    table: pl.DataFrame, model: MixtureModel, tried: list[Candidate], chosen: Candidate, starts: int
) -> Segmentation:
    columns = [field.name for field in fields(Candidate) if field.name != "fitted"]
    compared = pl.DataFrame([{name: getattr(c, name) for name in columns} for c in tried])
    admitted = compared.filter("admitted")
    notes = ["BIC also adds clouds to follow one that is not normal, so they need not be groups."]
    if admitted.filter(pl.col("k") == 1, pl.col("bic") <= chosen.bic).height:
        notes.insert(
            0, "One single cloud has a lower BIC than any mixture: this is no evidence of groups."
        )
    sample = model.fitted_rows < model.rows
    rows = f" on a random {number(model.fitted_rows)} of them" if sample else ""
    return model.segment(
        table,
        method="mixture",
        compared=compared.with_columns(chosen=pl.Series([c is chosen for c in tried])),
        criterion="bic",
        found_by=(
            f"a Gaussian mixture with {chosen.shape} covariances (BIC {number(chosen.bic)}, the "
            f"lowest of {counted(admitted.height, 'candidate')} admitted; {number(chosen.reached)} "
            f"of {counted(starts, 'start reached', 'starts reached')} it{rows})"
        ),
        notes=tuple(notes),
    )
