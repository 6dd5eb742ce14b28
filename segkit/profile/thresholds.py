"""What counts as a mark, and what as a usable segment: the limits, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MarkerRule:
    """When a variable marks a segment.

    A mark must also be more than chance: the interval of the difference excludes zero.

    Attributes
    ----------
    share_absolute : float
        For yes/no variables: the segment's share deviates from that of all customers by at
        least this much (Dolnicar, Grün & Leisch 2018, Market Segmentation Analysis, section 8.1:
        0.25) ...
    share_relative : float
        ... or by at least this part of the share of all customers (there: 50%).
    delta : float
        For amounts, which are skewed: Cliff's delta against all customers outside the segment
        is at least this in size. 0.33 ("medium" in Romano et al. 2006) means that a customer of
        the segment exceeds one outside it with a chance of 66.5%.
    smallest_segment : int
        Segments with fewer customers get no marks.
    """

    share_absolute: float = 0.25
    share_relative: float = 0.5
    delta: float = 0.33
    smallest_segment: int = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a segment passes each test of usability.

    Attributes
    ----------
    known_share : float
        Measurable: least share of the variables' values that is known.
    customers : int
        Substantial: least number of customers ...
    customer_share, revenue_share : float
        ... least share of customers, and of revenue, by the lower limit of the interval.
    reachable_share : float
        Accessible: least share with consent and a known channel, by the lower limit.
    predictable_auc : float
        Accessible: least cross-validated area under the ROC curve with which descriptors tell
        the segment from the others, by the lower limit (0.5 is guessing).
    relevant_difference : float
        Relevant: least size of the standardised difference on the KPI (Cohen's "small").
    apart : float
        Differentiated: least standardised difference from the nearest other segment on the
        variable that sets them apart most (Cohen's "large").
    jaccard : float
        Stable: least clusterwise Jaccard index (Hennig 2007: 0.75).
    """

    known_share: float = 0.8
    customers: int = 100
    customer_share: float = 0.05
    revenue_share: float = 0.05
    reachable_share: float = 0.5
    predictable_auc: float = 0.6
    relevant_difference: float = 0.2
    apart: float = 0.8
    jaccard: float = 0.75
