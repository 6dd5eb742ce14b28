"""Who is valuable now: recency, frequency and monetary scores, segments and their robustness."""

from segkit.rfm.cuts import Cuts, natural_cuts, quantile_cuts
from segkit.rfm.scoring import RFM, rfm_table, score_rfm
from segkit.rfm.segments import (
    Concentration,
    MicroSegments,
    concentration,
    micro_segments,
    rfm_segments,
)
from segkit.rfm.shifts import Sensitivity, sensitivity

__all__ = [
    "RFM",
    "Concentration",
    "Cuts",
    "MicroSegments",
    "Sensitivity",
    "concentration",
    "micro_segments",
    "natural_cuts",
    "quantile_cuts",
    "rfm_segments",
    "rfm_table",
    "score_rfm",
    "sensitivity",
]
