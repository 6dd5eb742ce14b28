"""Whom does a contact move? Effects, uplift and Qini curves, and what acting on them pays."""

from segkit.uplift.curve import UpliftCurve, uplift_curve
from segkit.uplift.curves import CONVENTIONS, coefficient, uplift_at
from segkit.uplift.learners import LEARNERS
from segkit.uplift.policy import SegmentPolicy, segment_policy
from segkit.uplift.score import Uplift, fit_uplift

__all__ = [
    "CONVENTIONS",
    "LEARNERS",
    "SegmentPolicy",
    "Uplift",
    "UpliftCurve",
    "coefficient",
    "fit_uplift",
    "segment_policy",
    "uplift_at",
    "uplift_curve",
]
