"""What mixtures, latent classes and mixed data hand back: who is where, the model, the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from segkit.cluster.outcome import CAVEAT
from segkit.display import number, percent
from segkit.errors import DataError
from segkit.result import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segkit.plot import Figure

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Division(Result):
    """Which segment every customer is in, by a method that has no tree.

    Attributes
    ----------
    assignments : polars.DataFrame
        One row a customer, by customer_id: customer_id, segment ("S1", …), segment_name, and
        ``probability`` (posterior of the own segment) where the method gives one.
    posterior : polars.DataFrame or None
        customer_id and one column a segment: the probability of being in it.
    model : MixtureModel, LatentModel or MixedModel
        Assigns new customers; agrees with ``assignments`` on these ones.
    segments : polars.DataFrame
        One row a segment: segment, segment_name, customers, customer_share, and what it is like.
    method : str
    k : int
    compared : polars.DataFrame
        One row a candidate that was fitted, ``chosen`` marking the one taken; its criterion is
        in the column named by ``criterion``.
    criterion : str
        "bic" (lower is better) or "silhouette" (higher is better).
    found_by : str
        The method in words, with its search.
    notes : tuple of str
        What the fit did that a reader should know.
    """

    assignments: pl.DataFrame
    posterior: pl.DataFrame | None
    model: Any
    segments: pl.DataFrame
    method: str
    k: int
    compared: pl.DataFrame
    criterion: str
    found_by: str
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the table of segments."""
        return self.segments

    @property
    def text(self) -> str:
        """Who the segments are, how they were found, and how far to trust them."""
        rows = self.segments.sort("customers", descending=True, maintain_order=True).to_dicts()
        each = "; ".join(
            f"{r['segment']} {r['segment_name']} ({percent(r['customer_share'])})" for r in rows
        )
        parts = [
            f"{number(self.assignments.height)} customers in {number(self.k)} segments: {each}.",
            f"Found by {self.found_by}.",
            *self.notes,
            CAVEAT,
        ]
        return " ".join(parts)

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy in which some segments bear other names.

        Raises
        ------
        ModelError
            If an id is unknown or a name would be borne twice.
        """
        model = self.model.rename(names)
        words = pl.col("segment").replace_strict(model.names, return_dtype=pl.String)
        return replace(
            self,
            model=model,
            assignments=self.assignments.with_columns(segment_name=words),
            segments=self.segments.with_columns(segment_name=words),
        )

    def plot(self) -> Figure:
        """Draw the criterion over the number of segments; sizes where only one was fitted."""
        from segkit.plot import bars, lines

        name = {"bic": "BIC (lower is better)", "silhouette": "Mean silhouette (higher is better)"}
        known = self.compared.drop_nulls(self.criterion).sort("k", maintain_order=True)
        if known["k"].n_unique() < 2:
            return bars(
                self.segments, "segment_name", "customer_share", title="How large each segment is",
                y_label="Share of customers",
            )  # fmt: skip
        return lines(
            known, "k", self.criterion, group="shape" if "shape" in known.columns else None,
            title="How many segments the criterion suggests", x_label="Segments",
            y_label=name[self.criterion],
        )  # fmt: skip


def by_size(groups: Ints, keys: NDArray[np.float64]) -> Ints:
    """Order groups by falling size, ties by their keys; every group must have a customer.

    Parameters
    ----------
    groups : array (n,)
        Group 0 … k - 1 of every customer.
    keys : array (k, d)
        What tells equal sizes apart.

    Returns
    -------
    array (k,)
        The groups in their new order.

    Raises
    ------
    DataError
        If a group is empty.

    Examples
    --------
    >>> by_size(np.array([0, 1, 1]), np.zeros((2, 1))).tolist()
    [1, 0]
    """
    counts = np.bincount(groups, minlength=keys.shape[0])
    if not counts.all():
        raise DataError(
            f"{int((counts == 0).sum())} of {len(counts)} segments hold no customer; "
            "ask for fewer segments"
        )
    return np.asarray(np.lexsort((*keys.T[::-1], -counts)))


def segment_ids(k: int) -> list[str]:
    """Return "S1" to "Sk"."""
    return [f"S{place + 1}" for place in range(k)]


def size_table(names: Mapping[str, str], counts: Sequence[int]) -> pl.DataFrame:
    """Return the head of the table of segments: segment, segment_name, customers, share."""
    total = max(sum(counts), 1)
    return pl.DataFrame(
        {
            "segment": list(names),
            "segment_name": list(names.values()),
            "customers": list(counts),
            "customer_share": [count / total for count in counts],
        },
        schema_overrides={"customers": pl.Int64},
    )
