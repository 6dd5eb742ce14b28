"""Coded designs of multivariate tests: which columns stand for which contrast."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import number
from segkit.errors import DataError
from segkit.stats.least_squares import Fit

Array = npt.NDArray[np.float64]
CONTROL = "\x1fcontrol"  # column with the control's name; null for the treated
_ANY = "any treatment"


class Layout:
    """The coded design: which columns stand for which contrast, and the rows' groups.

    Factors and blocks are effect coded (a factor of two levels: -1 and 1), the control's factors
    zero; rows that are coded alike share one row of the table.

    Parameters
    ----------
    parts : DataFrame
        The factors as strings, `CONTROL`, and the blocks; one row a customer.
    factors : list of str
    interactions : int
        Highest number of factors in an interaction.
    blocks : list of str

    Raises
    ------
    DataError
        If a factor has one level only.
    """

    def __init__(
        self, parts: pl.DataFrame, factors: list[str], interactions: int, blocks: list[str]
    ) -> None:
        treated = parts.filter(pl.col(CONTROL).is_null())
        self.levels = {f: treated[f].unique().sort().to_list() for f in factors}
        alone = [name for name, values in self.levels.items() if len(values) < 2]
        if alone:
            raise DataError(f"factor {', '.join(alone)} has one level only, so no effect")
        kinds = parts.select(*factors, CONTROL, *(pl.col(b).alias(f"block {b}") for b in blocks))
        distinct = kinds.unique(maintain_order=True).sort(kinds.columns, nulls_last=True)
        keyed = kinds.join(
            distinct.with_row_index("group"), on=kinds.columns, how="left", nulls_equal=True,
            maintain_order="left",
        )  # fmt: skip
        self.groups = keyed["group"].cast(pl.Int64).to_numpy()
        self.size = np.bincount(self.groups, minlength=distinct.height).astype(float)
        self.distinct, self.factors = distinct, factors
        self.codes = {f: _coded(distinct[f], self.levels[f]) for f in factors}
        columns: list[Array] = [np.ones((distinct.height, 1))]
        self.terms: dict[tuple[str, ...], list[int]] = {}
        names = distinct[CONTROL].drop_nulls().to_list()
        self.control: str | None = names[0] if names else None
        if self.control is not None:
            columns.append(distinct[CONTROL].is_null().cast(pl.Float64).to_numpy()[:, None])
            self.terms[()] = [1]
        for order in range(1, interactions + 1):
            for some in combinations(factors, order):
                coded = self.codes[some[0]]
                for name in some[1:]:
                    coded = (coded[:, :, None] * self.codes[name][:, None, :]).reshape(
                        distinct.height, -1
                    )
                first = sum(part.shape[1] for part in columns)
                self.terms[some] = list(range(first, first + coded.shape[1]))
                columns.append(coded)
        self.needed = sum(part.shape[1] for part in columns)
        self.blocks: dict[str, list[int]] = {}
        for name in blocks:
            values = distinct[f"block {name}"].cast(pl.String)
            coded = _coded(values, values.unique().sort().to_list())
            first = sum(part.shape[1] for part in columns)
            self.blocks[name] = list(range(first, first + coded.shape[1]))
            columns.append(coded - (self.size @ coded) / self.size.sum())
        self.table = np.hstack(columns)

    def words(self, term: tuple[str, ...]) -> str:
        """Name a contrast."""
        names = [name.replace("_", " ") for name in term]
        if not term:
            return f"{_ANY} against {self.control}"
        if len(term) == 1 and len(self.levels[term[0]]) == 2:
            first, second = self.levels[term[0]]
            return f"{names[0]} {second} against {first}"
        return " with ".join(names)

    def refuse_aliased(self) -> None:
        """Raise where a contrast cannot be told apart from others, and say from which."""
        rank = np.linalg.matrix_rank(self.table)
        for term, columns in reversed(self.terms.items()):  # interactions first
            rest = np.delete(self.table, columns, axis=1)
            if rank - np.linalg.matrix_rank(rest) == len(columns):
                continue
            with_it = [
                self.words(other)
                for other, places in self.terms.items()
                if other != term and self._entangled(columns, places)
            ]
            with_it += [
                f"block {name}" for name, places in self.blocks.items()
                if self._entangled(columns, places)
            ]  # fmt: skip
            raise DataError(
                f"the contrast {self.words(term)!r} cannot be told apart from "
                f"{', '.join(with_it)}: {self._missing()}. Assign every combination, or ask for "
                "fewer interactions"
            )

    def _entangled(self, one: list[int], two: list[int]) -> bool:
        """Tell whether a combination of columns that vanishes holds columns of both."""
        _, sizes, rows = np.linalg.svd(self.table, full_matrices=True)
        none = rows[int((sizes > 1e-9 * sizes.max()).sum()) :]
        shared = none[:, one].T @ none[:, two]
        return bool(np.abs(shared).max(initial=0.0) > 1e-9)

    def empty_cells(self) -> list[str]:
        """Return the combinations that no customer has, in words."""
        seen = set(self.distinct.filter(pl.col(CONTROL).is_null()).select(self.factors).rows())
        return [
            " and ".join(f"{f} {v}" for f, v in zip(self.factors, names, strict=True))
            for names in product(*self.levels.values())
            if names not in seen
        ]

    def _missing(self) -> str:
        empty = self.empty_cells()
        if not empty:
            return "its levels go with those of the others for every customer"
        more = f" (and {number(len(empty) - 3)} more)" if len(empty) > 3 else ""
        return f"no customer has {', or '.join(empty[:3])}{more}"

    def sides(self, term: tuple[str, ...]) -> Array:
        """Return, for each distinct row, which side of a contrast it is on (-1: on none)."""
        if not term:
            return np.where(self.distinct[CONTROL].is_null().to_numpy(), 1, 0)
        treated = self.distinct[CONTROL].is_null().to_numpy()
        columns = self.terms[term]
        if len(columns) == 1:
            return np.where(treated, (self.table[:, columns[0]] > 0).astype(int), -1)
        places = np.zeros(len(treated), dtype=int)
        for name in term:
            order = {value: i for i, value in enumerate(self.levels[name])}
            own = np.array([order.get(value, 0) for value in self.distinct[name]])
            places = places * len(order) + own
        return np.where(treated, places, -1)

    def means(self, fit: Fit, buyers: npt.NDArray[np.bool_], level: float) -> pl.DataFrame:
        """Return the levels' least-squares means with their intervals."""
        from scipy.special import stdtrit

        some = np.bincount(self.groups, weights=buyers, minlength=len(self.size))
        reach = float(stdtrit(fit.freedom, (1 + level) / 2))
        rows = []
        for name, values in self.levels.items():
            for place, value in enumerate(values):
                weights = np.zeros(len(fit.coefficients))
                weights[0] = 1.0
                weights[self.terms.get((), [])] = 1.0
                weights[self.terms[(name,)]] = _code(place, len(values))
                mean = float(weights @ fit.coefficients)
                error = math.sqrt(max(float(weights @ fit.covariance @ weights), 0.0))
                own = (self.distinct[name] == value).fill_null(value=False).to_numpy()
                rows.append(
                    {"factor": name, "level": value, "customers": int(self.size[own].sum()),
                     "buyers": int(some[own].sum()), "value": mean, "low": mean - reach * error,
                     "high": mean + reach * error}
                )  # fmt: skip
        return pl.DataFrame(rows)


def _code(place: int, levels: int) -> Array:
    """Return a level's effect coding: -1 in all columns for the first, else 1 in its own."""
    return -np.ones(levels - 1) if place == 0 else np.eye(levels)[place, 1:]


def _coded(values: pl.Series, levels: list[str]) -> Array:
    """Return a column's effect coding; zeros where it is null."""
    codes = {level: _code(place, len(levels)) for place, level in enumerate(levels)}
    none = np.zeros(len(levels) - 1)
    return np.array([codes.get(value, none) for value in values]).reshape(len(values), -1)
