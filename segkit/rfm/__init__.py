"""Recency, frequency and monetary (RFM) scores, segments and their robustness."""

from segkit.rfm.cuts import Cuts, find_natural_cuts, find_quantile_cuts
from segkit.rfm.scoring import RFM, build_rfm_table, score_rfm
from segkit.rfm.segments import (
    Concentration,
    MicroSegments,
    build_rfm_segments,
    find_micro_segments,
    measure_concentration,
)
from segkit.rfm.shifts import Sensitivity, measure_sensitivity
from segkit.rfm.sql import SegmentSql

__all__ = [
    "RFM",
    "Concentration",
    "Cuts",
    "MicroSegments",
    "SegmentSql",
    "Sensitivity",
    "build_rfm_segments",
    "build_rfm_table",
    "find_micro_segments",
    "find_natural_cuts",
    "find_quantile_cuts",
    "measure_concentration",
    "measure_sensitivity",
    "score_rfm",
]
