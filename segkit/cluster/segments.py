"""Result of a segmentation: assignments, model, segment names, figures, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.display import counted, label, number, percent, stem
from segkit.errors import ParameterError
from segkit.plot import Figure, bars, lines, points
from segkit.plot.dendrogram import dendrogram
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.cluster.choose import KChoice


# Feature, without its window -> the word for customers high on it, and for those low on it.
WORDS: dict[str, tuple[str, str]] = {
    "recency_days": ("less-recent", "recent"),
    "frequency": ("frequent", "infrequent"),
    "orders_per_year": ("frequent", "infrequent"),
    "monetary": ("high-spend", "low-spend"),
    "tenure_days": ("long-standing", "newer"),
    "order_value_mean": ("big-basket", "small-basket"),
    "order_value_std": ("uneven-basket", "even-basket"),
    "gap_days_mean": ("slow-returning", "quick-returning"),
    "gap_days_cv": ("irregular", "regular"),
    "return_share": ("returning-goods", "no-returns"),
    "discount_share": ("discount-driven", "full-price"),
    "category_breadth": ("wide-ranging", "single-category"),
    "season_share_winter": ("winter", "non-winter"),
    "season_share_spring": ("spring", "non-spring"),
    "season_share_summer": ("summer", "non-summer"),
    "season_share_autumn": ("autumn", "non-autumn"),
    "gift_share": ("gift-buying", "no-occasion"),
    "visits": ("often-visiting", "seldom-visiting"),
    "visits_per_year": ("often-visiting", "seldom-visiting"),
    "page_views": ("much-browsing", "little-browsing"),
    "product_views": ("product-browsing", "little-looking"),
    "open_rate": ("mail-opening", "mail-ignoring"),
    "emails_sent": ("much-mailed", "little-mailed"),
    "emails_opened": ("mail-opening", "mail-ignoring"),
    "click_rate": ("mail-clicking", "seldom-clicking"),
    "emails_clicked": ("mail-clicking", "seldom-clicking"),
    "carts": ("cart-filling", "few-carts"),
    "carts_abandoned": ("cart-abandoning", "cart-completing"),
    "abandonment_rate": ("cart-abandoning", "cart-completing"),
    "engagement_recency_days": ("disengaged", "engaged"),
    "orders_trend": ("growing", "fading"),
    "visits_trend": ("warming", "cooling"),
}
# Features with similar meaning: a name uses at most one of each set.
TOPICS: tuple[tuple[str, ...], ...] = (
    ("frequency", "orders_per_year", "gap_days_mean"),
    ("visits", "visits_per_year", "page_views", "product_views", "carts"),
    ("open_rate", "emails_opened", "click_rate", "emails_clicked", "engagement_recency_days"),
    ("abandonment_rate", "carts_abandoned"),
    ("order_value_mean", "order_value_std"),
)
# Minimum difference from the mean of all customers, in standard deviations, to mark a segment.
MARKS = 0.4
WORDS_IN_NAME = 2


SHOWN_LEAVES = 40
ROUTES = {
    "exact": "Ward's method on every customer",
    "two-step": "two-step Ward clustering",
    "compressed": "Ward's method on compressed statistics of every customer",
    "restarts": "k-means",
}
CAVEAT = (
    "Any method divides customers, whether or not they fall into groups: stability over "
    "resamples and a comparison with group-free data say how real the borders are."
)


def marks(differences: NDArray[np.float64], features: Sequence[str]) -> list[tuple[str, float]]:
    """Return the features that mark one segment, strongest first, one of each topic.

    Parameters
    ----------
    differences : array (d,)
        Segment mean less the mean of all customers, in standard deviations of the transformed
        feature.
    features : sequence of str

    Examples
    --------
    >>> marks(np.array([0.1, -2.0, 1.0]), ["age", "visits", "carts"])
    [('visits', -2.0)]
    """
    taken: set[str] = set()
    strongest = []
    for place in np.lexsort((np.arange(len(features)), -np.abs(differences))):
        name, size = features[place], float(differences[place])
        topic = next((t[0] for t in TOPICS if stem(name) in t), stem(name))
        if abs(size) >= MARKS and topic not in taken:
            taken.add(topic)
            strongest.append((name, size))
    return strongest


def name_segments(
    differences: NDArray[np.float64],
    features: Sequence[str],
    words: Mapping[str, tuple[str, str]] | None = None,
) -> list[str]:
    """Name each segment by the one or two features that mark it most; all names differ.

    Names that two segments share are extended by their next marks; if none are left, a number is
    added.

    Parameters
    ----------
    differences : array (k, d)
        As for `marks`, one row per segment.
    features : sequence of str
    words : mapping, optional
        Feature, without its window, to the words for high and low; looked up before ``WORDS``.
        A feature in neither reads "high <feature>" or "low <feature>".

    Examples
    --------
    >>> name_segments(np.array([[2.0, -1.0], [-1.0, 0.1]]), ["frequency", "discount_share"])
    ['Frequent full-price customers', 'Infrequent customers']
    """
    vocabulary = {**WORDS, **(words or {})}
    marks_of = [marks(row, features) for row in differences]
    lengths = [WORDS_IN_NAME] * len(marks_of)
    while True:
        names = [_phrase(m[:n], vocabulary) for m, n in zip(marks_of, lengths, strict=True)]
        clash = [i for i, name in enumerate(names) if names.count(name) > 1]
        longer = [i for i in clash if lengths[i] < len(marks_of[i])]
        if not longer:
            break
        for i in longer:
            lengths[i] += 1
    uses: dict[str, int] = {}
    for i in clash:
        uses[names[i]] = uses.get(names[i], 0) + 1
        names[i] = f"{names[i]} {uses[names[i]]}"
    return names


def _phrase(strongest: list[tuple[str, float]], vocabulary: Mapping[str, tuple[str, str]]) -> str:
    before, after = [], []
    for feature, size in strongest:
        pair = vocabulary.get(stem(feature))
        if pair is not None:
            before.append(pair[0] if size > 0 else pair[1])
        else:
            after.append(f"{'high' if size > 0 else 'low'} {label(feature)}")
    if not strongest:
        return "Average customers"
    name = " ".join([*before, "customers"])
    name += f" with {' and '.join(after)}" if after else ""
    return name[0].upper() + name[1:]


def _describe_unnamed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe the segments whose names do not do so themselves, in a sentence."""
    described = [
        f"{row['segment_name']}: {row['segment_description'][:1].lower()}"
        f"{row['segment_description'][1:]}"
        for row in rows
        if row.get("segment_description") not in (None, "", row["segment_name"])
    ]
    return [f"What marks them: {'; '.join(described)}."] if described else []


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation(Result):
    """Segment of every customer, and the fit that produced it.

    Attributes
    ----------
    assignments : polars.DataFrame
        One row per customer, by customer_id: customer_id, segment ("S1", …), segment_name, and
        ``probability`` (posterior of the own segment) where the method gives one.
    model : SegmentModel, MixtureModel, LatentModel or MixedModel
        Assigns new customers; agrees with ``assignments`` on these ones.
    segments : polars.DataFrame
        One row per segment: segment, segment_name, customers, customer_share, segment_description
        (Ward and k-means: the features that mark it), and its centre, medoid or probabilities, by
        column. A centre is in original units; ``model.transform.to_frame()`` states the kind of
        mean.
    method : str
        "ward", "kmeans", "mixture", "latent", "medoids", "hierarchical" or "prototypes".
    k : int
    notes : tuple of str
        Notes on the fit for the reader.
    found_by : str
        The method in words, including how the solution was searched for.
    route : str
        "exact" (Ward on every customer), "two-step" (Ward on micro-clusters) or "restarts"
        (k-means); empty for other methods.
    choice : KChoice or None
        The table behind k, where `choose_k` chose it.
    linkage : array (m - 1, 4) or None
        Ward's tree in scipy's format: over customers by customer_id (exact) or over
        micro-clusters (two-step).
    leaf_groups : array (m,) or None
        For each leaf of the tree, the index in ``segments`` of its segment in the literal cut (the
        cut of Ward's tree before Lloyd's steps).
    tree_agreement : float or None
        Share of customers (exact) who are in the same segment in the literal cut of the tree.
    within_ss, total_ss : float or None
        Sums of squares of the transformed matrix, within segments and in all (Ward and k-means).
    map_points : polars.DataFrame or None
        Up to 2,000 customers on the first two principal components: pc1, pc2, segment (Ward and
        k-means).
    map_shares : tuple of two floats
        Shares of the variance that the two components hold.
    posterior : polars.DataFrame or None
        customer_id and one column per segment: the probability of being in it (mixtures and latent
        classes).
    compared : polars.DataFrame or None
        One row per candidate that was fitted, ``chosen`` marking the one taken; its criterion is
        in the column named by ``criterion`` (all methods but Ward and k-means).
    criterion : str
        "bic" (lower is better) or "silhouette" (higher is better).
    """

    assignments: pl.DataFrame
    model: Any
    segments: pl.DataFrame
    method: str
    k: int
    notes: tuple[str, ...]
    found_by: str = ""
    route: str = ""
    choice: KChoice | None = None
    linkage: Any = None
    leaf_groups: Any = None
    tree_agreement: float | None = None
    within_ss: float | None = None
    total_ss: float | None = None
    map_points: pl.DataFrame | None = None
    map_shares: tuple[float, float] = (0.0, 0.0)
    posterior: pl.DataFrame | None = None
    compared: pl.DataFrame | None = None
    criterion: str = ""

    def to_frame(self) -> pl.DataFrame:
        """Return the table of segments."""
        return self.segments

    @property
    def text(self) -> str:
        """Description of the segments, the method, and the reliability of the result."""
        rows = self.segments.sort("customers", descending=True, maintain_order=True).to_dicts()
        each = "; ".join(f"{r['segment_name']} ({percent(r['customer_share'])})" for r in rows)
        parts = [
            (
                f"{counted(self.assignments.height, 'customer')} in {counted(self.k, 'segment')}: "
                f"{each}."
            ),
            *_describe_unnamed(rows),
            f"Found by {self.found_by or ROUTES[self.route]}.",
        ]
        if self.within_ss is not None and self.total_ss is not None:
            between = 1 - self.within_ss / self.total_ss
            parts.append(f"{percent(between)} of the variation lies between segments.")
        return " ".join([*parts, *self.notes, CAVEAT])

    @property
    def answer(self) -> str:
        """Number of customers and of segments, and the largest and the smallest segment."""
        rows = self.segments.sort("customers", descending=True, maintain_order=True).to_dicts()
        largest, smallest = (
            f"{row['segment_name']} ({percent(row['customer_share'])})"
            for row in (rows[0], rows[-1])
        )
        whole = counted(self.assignments.height, "customer")
        segments = counted(self.k, "segment")
        return f"{whole} in {segments}, the largest {largest}, the smallest {smallest}."

    def rename(self, names: Mapping[str, str]) -> Self:
        """Return a copy with other names for some segments; their descriptions stay.

        Raises
        ------
        ModelError
            If an id is unknown or two segments would have one name.
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
        """Draw customers on two principal components, or the criterion that chose k."""
        if self.map_points is not None:
            return self._draw_map(self.map_points)
        if self.compared is not None:
            candidates = self.compared.drop_nulls(self.criterion).sort("k", maintain_order=True)
            if candidates["k"].n_unique() > 1:
                return self._draw_criterion(candidates)
        title, share = "How large each segment is", "Share of customers"
        return bars(self.segments, "segment_name", "customer_share", title=title, y_label=share)

    def _draw_map(self, shown: pl.DataFrame) -> Figure:
        first, second = self.map_shares
        names = dict(self.segments.select("segment", "segment_name").iter_rows())
        order = pl.Enum(list(names.values()))
        shown = shown.with_columns(pl.col("segment").replace_strict(names, return_dtype=order))
        n = self.assignments.height
        sample = f", a random {number(shown.height)} of {counted(n, 'customer')}"
        return points(
            shown,
            "pc1",
            "pc2",
            group="segment",
            sample=None,
            title=f"Segment map{sample if shown.height < n else ''}",
            x_label=f"first component ({percent(first)} of the variation)",
            y_label=f"second component ({percent(second)} of the variation)",
        )

    def _draw_criterion(self, candidates: pl.DataFrame) -> Figure:
        name = {"bic": "BIC (lower is better)", "silhouette": "Mean silhouette (higher is better)"}
        return lines(
            candidates,
            "k",
            self.criterion,
            group="shape" if "shape" in candidates.columns else None,
            title="How many segments the criterion suggests",
            x_label="Segments",
            y_label=name[self.criterion],
        )

    def dendrogram(self, leaves: int = SHOWN_LEAVES) -> Figure:
        """Draw the top of Ward's tree, coloured by segment.

        Raises
        ------
        ParameterError
            If the method builds no tree.
        """
        if self.linkage is None:
            raise ParameterError(f"a dendrogram needs method='ward'; {self.method} builds no tree")
        names = self.segments["segment_name"].to_list()
        unit = "customers" if self.route == "exact" else "micro-clusters"
        return dendrogram(self.linkage, self.leaf_groups, names, leaves=leaves, unit=unit)
