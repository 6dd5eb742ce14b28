"""What a segmentation hands back: who is where, the model, the pictures, the caveats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from segkit.cluster.model import SegmentModel
from segkit.display import number, percent
from segkit.errors import ParameterError
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.cluster.choose import KChoice
    from segkit.plot import Figure

SHOWN_LEAVES = 40
CAVEAT = (
    "Any method divides customers, whether or not they fall into groups: stability over "
    "resamples and a comparison with group-free data say how real the borders are."
)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Result):
    """Which segment every customer is in, and what the segments rest on.

    Attributes
    ----------
    assignments : polars.DataFrame
        One row a customer, by customer_id: customer_id, segment ("S1", …), segment_name.
    model : SegmentModel
        Assigns new customers; agrees with ``assignments`` on these ones.
    segments : polars.DataFrame
        One row a segment: segment, segment_name, customers, customer_share, and the centre in
        original units (see ``model.transform.to_frame()`` for the kind of mean).
    method : str
        "ward" or "kmeans".
    route : str
        "exact" (Ward on every customer), "two-step" (Ward on micro-clusters) or "restarts".
    k : int
    choice : KChoice or None
        The table behind k; None if k was given.
    linkage : array (m - 1, 4) or None
        Ward's tree in scipy's format: over customers by customer_id (exact) or over
        micro-clusters (two-step).
    leaf_groups : array (m,) or None
        For each leaf of the tree the place of its literal cut's segment in ``segments``.
    tree_agreement : float or None
        Share of customers (exact) whose segment is that of the literal cut of the tree.
    within_ss, total_ss : float
        Sums of squares of the transformed matrix, within segments and in all.
    map_points : polars.DataFrame
        Up to 2,000 customers on the first two principal components: pc1, pc2, segment.
    map_shares : tuple of two floats
        Shares of the variance that the two components hold.
    notes : tuple of str
        What the fit did that a reader should know.
    """

    assignments: pl.DataFrame
    model: SegmentModel
    segments: pl.DataFrame
    method: str
    route: str
    k: int
    choice: KChoice | None
    linkage: Any
    leaf_groups: Any
    tree_agreement: float | None
    within_ss: float
    total_ss: float
    map_points: pl.DataFrame
    map_shares: tuple[float, float]
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the table of segments."""
        return self.segments

    @property
    def text(self) -> str:
        """Who the segments are, how they were found, and how far to trust them."""
        rows = self.segments.sort("customers", descending=True).to_dicts()
        each = "; ".join(
            f"{r['segment']} {r['segment_name']} ({percent(r['customer_share'])})" for r in rows
        )
        between = 1 - self.within_ss / self.total_ss
        parts = [
            f"{number(self.assignments.height)} customers in {number(self.k)} segments: {each}.",
            f"Found by {_method_words(self.method, self.route)}.",
            f"{percent(between)} of the variation lies between segments.",
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
        """Draw customers on the first two principal components, coloured by segment."""
        from segkit.plot import points

        first, second = self.map_shares
        n, shown = self.assignments.height, self.map_points.height
        sample = f", a random {number(shown)} of {number(n)} customers" if shown < n else ""
        return points(
            self.map_points,
            "pc1",
            "pc2",
            group="segment",
            sample=None,
            title=f"Segment map{sample}",
            x_label=f"first component ({percent(first)} of the variation)",
            y_label=f"second component ({percent(second)} of the variation)",
        )

    def dendrogram(self, leaves: int = SHOWN_LEAVES) -> Figure:
        """Draw the top of Ward's tree, coloured by segment.

        Raises
        ------
        ParameterError
            If the method grew no tree.
        """
        if self.linkage is None:
            raise ParameterError("k-means grows no tree; use method='ward' for a dendrogram")
        from segkit.plot.dendrogram import dendrogram

        names = [f"{row['segment']} {row['segment_name']}" for row in self.segments.to_dicts()]
        unit = "customers" if self.route == "exact" else "micro-clusters"
        return dendrogram(self.linkage, self.leaf_groups, names, leaves=leaves, unit=unit)


def _method_words(method: str, route: str) -> str:
    if method == "kmeans":
        return "k-means"
    return "Ward's method on every customer" if route == "exact" else "two-step Ward clustering"
