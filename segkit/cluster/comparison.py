"""What comparing methods hands back: the table, who agrees with whom, in words and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

WORDS = {
    "ward": "Ward",
    "two-step": "two-step Ward",
    "kmeans": "k-means",
    "mixture": "Gaussian mixture",
    "medoids": "Gower k-medoids",
    "prototypes": "k-prototypes",
}


@dataclass(frozen=True, slots=True, eq=False)
class MethodComparison(Result):
    """The same customers in the same number of segments by several methods.

    Attributes
    ----------
    methods : polars.DataFrame
        One row a method: method; name; smallest_share and largest_share of the segments over all
        customers; and, on the sample that all methods were fitted to, silhouette, davies_bouldin,
        calinski_harabasz, explained_share (of the transformed numeric variables);
        gower_silhouette (on all columns; null without categories); jaccard and jaccard_least (mean
        over segments of at least 10 customers, and of the least stable, of the clusterwise Jaccard
        coefficient over the refits); rand (mean adjusted Rand index of the refits with the
        segmentation); agreement (mean adjusted Rand index with the other methods, over all
        customers); refits; seconds.
    agreement : polars.DataFrame
        One row a pair, both ways and with itself: first, second, adjusted_rand.
    sizes : polars.DataFrame
        method, segment (numbered alike: a number continues the first method's), customers, share.
    assignments : polars.DataFrame
        customer_id and one column a method: the segment's number.
    k : int
    rows : int
        Customers that the methods were fitted to, the same for all.
    seed : int
    notes : tuple of str
        What was left out or sampled.
    """

    methods: pl.DataFrame
    agreement: pl.DataFrame
    sizes: pl.DataFrame
    assignments: pl.DataFrame
    k: int
    rows: int
    seed: int
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the methods, one row each."""
        return self.methods

    @property
    def text(self) -> str:
        """Whether the segments hang on the method, and which division comes out again best."""
        n = self.assignments.height
        parts = [
            (
                f"{number(self.methods.height)} methods put {number(n)} customers into "
                f"{number(self.k)} segments: {', '.join(self.methods['name'].to_list())}."
            )
        ]
        pairs = self.agreement.filter(pl.col("first") < pl.col("second")).sort("adjusted_rand")
        if pairs.height:
            low, high = pairs.row(0, named=True), pairs.row(-1, named=True)
            told = (
                f"They agree most for {high['first']} and {high['second']} (adjusted Rand index "
                f"{number(high['adjusted_rand'])})"
            )
            if pairs.height > 1:
                told += (
                    f", least for {low['first']} and {low['second']} "
                    f"({number(low['adjusted_rand'])})"
                )
            parts.append(f"{told}.")
        known = self.methods.drop_nulls("jaccard")
        if known.height:
            best = known.sort("jaccard", descending=True, maintain_order=True).row(0, named=True)
            name = best["name"]
            parts.append(
                f"{name[:1].upper()}{name[1:]} comes out again best over {number(best['refits'])} "
                f"refits to resampled customers (mean Jaccard {number(best['jaccard'])}, its "
                f"least stable segment {number(best['jaccard_least'])})."
            )
        parts += self.notes
        parts.append(
            "Where methods agree, the segments do not hang on the choice of one; silhouette and "
            "sum of squares favour the methods that seek round groups, so they do not decide."
        )
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw how far each pair of methods agrees."""
        from segkit.plot import heatmap

        return heatmap(
            self.agreement, "second", "first", "adjusted_rand", percent=False,
            title="How far the methods agree", x_label="method", y_label="method",
            value_label="adjusted Rand index (1: the same segments)",
        )  # fmt: skip
