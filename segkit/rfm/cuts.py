"""Cut-points of recency, frequency and monetary scores: quantiles, natural breaks, ties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import polars as pl

from segkit.errors import ModelError, ParameterError, require_choice, unknown
from segkit.frames import takes_frames
from segkit.result import read_json
from segkit.writing import write_whole

MAX_EXACT = 2_000
Method = Literal["quantile", "fixed", "natural"]
Ties = Literal["down", "up", "midrank", "rfm"]
Bins = int | Sequence[int]
DIMENSIONS = ("recency", "frequency", "monetary")
COLUMNS = {"recency": "recency_days", "frequency": "frequency", "monetary": "monetary"}
METHODS: tuple[Method, ...] = get_args(Method)
TIES: tuple[Ties, ...] = get_args(Ties)
MAX_BINS = 20


def find_natural_cuts(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Cut values where the sum of squares within the bins is least (Fisher-Jenks).

    Exact dynamic programming over the distinct values, weighted by their counts. With more
    than 2,000 distinct values they are first gathered into 2,000 groups of equal numbers of
    customers; the cuts, exact for the gathered values, are then moved to where no single value
    lies nearer to the other bin's mean (Lloyd's iteration), which can be a local optimum.

    Parameters
    ----------
    values : numpy.ndarray
        Finite values, one per customer.
    bins : int
        Number of bins; with fewer distinct values, the spare bins stay empty at the top.

    Returns
    -------
    tuple of float
        ``bins - 1`` exclusive upper cuts: the smallest value of each upper bin.

    References
    ----------
    Fisher, W. D. (1958), "On Grouping for Maximum Homogeneity", Journal of the American
    Statistical Association 53, 789-798. Jenks, G. F. (1977), "Optimal Data Classification for
    Choropleth Maps".

    Examples
    --------
    >>> find_natural_cuts(np.array([1, 2, 2, 10, 11, 50, 51, 52]), 3)
    (10.0, 50.0)
    """
    unique, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    firsts, means, weights = _gather(unique, counts)
    wanted = min(bins, len(means))
    starts = np.searchsorted(unique, firsts[_fisher(means, weights, wanted)])
    if len(firsts) < len(unique):
        starts = _move_borders(unique, counts, starts)
    cuts = [float(unique[start]) for start in starts]
    beyond = float(np.nextafter(unique[-1], np.inf))
    return (*cuts, *([beyond] * (bins - wanted)))


def _gather(unique: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first value, mean and number of customers of each group of values."""
    if len(unique) <= MAX_EXACT:
        return unique, unique, counts.astype(float)
    share = (np.cumsum(counts) - counts / 2) / counts.sum()
    group = np.minimum((share * MAX_EXACT).astype(int), MAX_EXACT - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    weights = np.add.reduceat(counts.astype(float), starts)
    means = np.add.reduceat(unique * counts, starts) / weights
    return unique[starts], means, weights


def _move_borders(unique: np.ndarray, counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Move the bins' beginnings until each value lies in the bin of the nearest mean."""
    for _ in range(100):
        edges = np.concatenate(([0], starts))
        means = np.add.reduceat(unique * counts, edges) / np.add.reduceat(counts, edges)
        moved = np.searchsorted(unique, (means[1:] + means[:-1]) / 2, side="right")
        if (moved == starts).all():
            break
        starts = moved
    return starts


def _fisher(means: np.ndarray, weights: np.ndarray, bins: int) -> list[int]:
    """Return where bins 2, 3, ... begin, by Fisher's recursion: O(bins n^2), a row at a time."""
    n = len(means)
    centred = means - np.average(means, weights=weights)  # keeps the squares' sums exact enough
    w = np.concatenate(([0.0], np.cumsum(weights)))
    s = np.concatenate(([0.0], np.cumsum(weights * centred)))
    q = np.concatenate(([0.0], np.cumsum(weights * centred**2)))
    ends = np.arange(1, n + 1)
    best = q[ends] - s[ends] ** 2 / w[ends]
    origin = np.zeros((bins, n), dtype=int)
    for k in range(1, bins):
        before, best = best, np.full(n, np.inf)
        for end in range(k, n):
            start = np.arange(k, end + 1)
            inside = (q[end + 1] - q[start]) - (s[end + 1] - s[start]) ** 2 / (
                w[end + 1] - w[start]
            )
            total = before[start - 1] + inside
            place = int(total.argmin())
            best[end], origin[k, end] = total[place], start[place]
    starts: list[int] = []
    last = n - 1
    for k in range(bins - 1, 0, -1):
        starts.append(int(origin[k, last]))
        last = starts[-1] - 1
    return starts[::-1]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Cut-points of RFM scores; they can be saved and used to score other customers.

    A value below the first cut is in the lowest bin; each cut reached adds one. A high
    frequency or monetary value scores high, a high recency (long ago) scores low. Where cuts
    are equal, no customer gets the score between them.

    Attributes
    ----------
    recency, frequency, monetary : tuple of float
        Exclusive upper cuts, ascending, one fewer than the bins (days, orders, money).
    method : str
        How they were found: "quantile", "fixed" or "natural".
    ties : str
        Where a value on a quantile falls (see `find_quantile_cuts`); "fixed" cuts have "given".
    as_of : date or None
        The day the recencies were counted to.
    customers : int
        Customers whose values gave the cuts; 0 where they were given.

    Examples
    --------
    >>> cuts = Cuts((30.0,), (2.0,), (100.0,), method="fixed", ties="given")
    >>> cuts.score(pl.DataFrame({"recency_days": [3], "frequency": [1], "monetary": [100.0]}))
    shape: (1, 3)
    ┌─────┬─────┬─────┐
    │ r   ┆ f   ┆ m   │
    │ --- ┆ --- ┆ --- │
    │ i32 ┆ i32 ┆ i32 │
    ╞═════╪═════╪═════╡
    │ 2   ┆ 1   ┆ 2   │
    └─────┴─────┴─────┘
    """

    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]
    method: str
    ties: str
    as_of: date | None = None
    customers: int = 0

    def __post_init__(self) -> None:
        for name in DIMENSIONS:
            cuts = tuple(float(cut) for cut in getattr(self, name))
            if not cuts or list(cuts) != sorted(cuts) or not np.isfinite(cuts).all():
                raise ParameterError(
                    f"the cuts of {name} must be ascending finite numbers, got {cuts}"
                )
            object.__setattr__(self, name, cuts)

    @property
    def bins(self) -> tuple[int, int, int]:
        """Highest possible score of recency, frequency and monetary value."""
        return (len(self.recency) + 1, len(self.frequency) + 1, len(self.monetary) + 1)

    @takes_frames
    def score(self, table: pl.DataFrame) -> pl.DataFrame:
        """Score customers: columns r, f, m; null where the value is null."""
        return table.select(
            self._score(name, letter) for name, letter in zip(DIMENSIONS, "rfm", strict=True)
        )

    def _score(self, name: str, letter: str) -> pl.Expr:
        cuts: tuple[float, ...] = getattr(self, name)
        value = pl.col(COLUMNS[name]).cast(pl.Float64)
        reached = pl.sum_horizontal([(value >= cut).cast(pl.Int32) for cut in cuts])
        score = len(cuts) + 1 - reached if name == "recency" else reached + 1
        return pl.when(value.is_not_null()).then(score).cast(pl.Int32).alias(letter)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return {
            **{name: list(getattr(self, name)) for name in DIMENSIONS},
            "method": self.method,
            "ties": self.ties,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "customers": self.customers,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild cuts from `to_dict`'s data.

        Raises
        ------
        ModelError
            If a key is missing or unknown, or a cut is no finite number.
        """
        if not isinstance(data, Mapping):
            raise ModelError(f"stored cuts are a table of names; got {type(data).__name__}")
        for key in data:
            require_choice("key of stored cuts", key, [one.name for one in fields(cls)], ModelError)
        missing = [name for name in DIMENSIONS if name not in data]
        if missing:
            raise ModelError(f"stored cuts lack {', '.join(missing)}")
        day = data.get("as_of")
        try:
            return cls(
                **{name: tuple(data[name]) for name in DIMENSIONS},
                method=str(data.get("method", "fixed")),
                ties=str(data.get("ties", "given")),
                as_of=date.fromisoformat(day) if day else None,
                customers=int(data.get("customers", 0)),
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"the stored cuts cannot be read: {error}") from error

    def save(self, path: Path | str) -> Path:
        """Write the cuts as JSON and return the path."""
        target = Path(path)
        write_whole(target, json.dumps(self.to_dict(), indent=2) + "\n")
        return target

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read cuts that `save` wrote.

        Raises
        ------
        ModelError
            If the file is absent or is not one of stored cuts.
        """
        return cls.from_dict(read_json(path, "file of cuts"))


def find_quantile_cuts(values: np.ndarray, bins: int, ties: Ties = "down") -> tuple[float, ...]:
    """Cut values into bins of equal numbers of customers, as far as ties allow.

    With q the quantile of type 7 (linear between order statistics) at k / bins, a value x is
    below the k-th cut if

    - ``"down"``: x <= q, so that a value on the cut falls into the lower bin;
    - ``"up"``: x < q, so that it falls into the upper bin;
    - ``"midrank"``: the mean rank of all customers with that value, (below + half of the tied)
      / n, is below k / bins: the bins come closest to equal numbers;
    - ``"rfm"``: x < q + 1, the rule of R's package rfm, made for days, counts and whole money.
      The 1 is in the value's unit, so that the same money in another unit is scored otherwise.

    Customers with equal values always get equal scores, whatever the order of the rows. Under
    the first three rules the customers' own scores depend on the order of their values alone: in
    cents, in euros or in thousands they are the same.

    Parameters
    ----------
    values : numpy.ndarray
        Finite values, one per customer.
    bins : int
        Number of bins, 2 to 20.
    ties : {"down", "up", "midrank", "rfm"}
        Where a value on a cut falls.

    Returns
    -------
    tuple of float
        ``bins - 1`` exclusive upper cuts, ascending; equal ones where ties fill whole bins.

    References
    ----------
    Hyndman, R. J. and Fan, Y. (1996), "Sample Quantiles in Statistical Packages", The American
    Statistician 50, 361-365 (type 7). R package rfm 0.3.0, ``rfm_table_order``.

    Examples
    --------
    >>> find_quantile_cuts(np.array([1, 2, 3, 4, 5]), 4, "rfm")
    (3.0, 4.0, 5.0)
    >>> find_quantile_cuts(np.array([1, 1, 1, 1, 9]), 2, "midrank")
    (9.0,)
    """
    if ties == "midrank":
        return _midrank_cuts(values, bins)
    quantiles = _quantiles(values, bins)
    if ties == "rfm":
        quantiles = quantiles + 1.0
    elif ties == "down":
        quantiles = np.nextafter(quantiles, np.inf)
    return tuple(float(cut) for cut in quantiles)


def _quantiles(values: np.ndarray, bins: int) -> np.ndarray:
    """Return the quantiles of type 7 at 1 / bins, 2 / bins and so on.

    The position is counted in whole numbers, so that a quantile that is a customer's own value is
    that value to the last bit, and one between two values stays between them: rounding moves
    nobody across a cut, in whatever unit the values are.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    low, rest = np.divmod(np.arange(1, bins) * (ordered.size - 1), bins)
    below, above = ordered[low], ordered[np.minimum(low + 1, ordered.size - 1)]
    between = np.clip(below + (above - below) * (rest / bins), below, np.nextafter(above, below))
    return np.asarray(np.where(rest == 0, below, between))


def _midrank_cuts(values: np.ndarray, bins: int) -> tuple[float, ...]:
    unique, counts = np.unique(values, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    first = np.searchsorted(middle, np.arange(1, bins) / bins, side="left")
    beyond = np.nextafter(unique[-1], np.inf)
    return tuple(float(cut) for cut in np.append(unique, beyond)[first])


def find_cuts(
    table: pl.DataFrame, *, bins: Bins, method: Method, ties: Ties, as_of: date | None
) -> Cuts:
    """Find the cut-points of a customer table with columns recency_days, frequency, monetary."""
    numbers = bins_of(bins)
    if method not in ("quantile", "natural"):
        hint = "; give fixed cut-points with cuts=" if method == "fixed" else ""
        raise ParameterError(f"{unknown('method', str(method), METHODS)}{hint}")
    require_choice("tie policy", ties, TIES)
    cut_points = {}
    for name, count in zip(DIMENSIONS, numbers, strict=True):
        values = table[COLUMNS[name]].cast(pl.Float64).to_numpy()
        cuts = find_quantile_cuts(values, count, ties) if method == "quantile" else ()
        cut_points[name] = cuts or find_natural_cuts(values, count)
    kind = ties if method == "quantile" else "given"
    return Cuts(**cut_points, method=method, ties=kind, as_of=as_of, customers=table.height)


def bins_of(bins: Bins) -> tuple[int, int, int]:
    """Return the bins of the three dimensions, checked."""
    numbers = tuple(bins) if isinstance(bins, Sequence) else (bins,) * 3
    if len(numbers) != 3 or not all(isinstance(n, int) and 2 <= n <= MAX_BINS for n in numbers):
        raise ParameterError(
            f"bins must be one whole number from 2 to {MAX_BINS}, or three, got {bins!r}"
        )
    return (numbers[0], numbers[1], numbers[2])
