"""Lift of a campaign, for whom and at what profit; uplift of customers, and whom to contact."""

from segkit.lift.balance import Balance, SampleRatio, check_balance, check_sample_ratio
from segkit.lift.describing import Change, describe_change
from segkit.lift.effects import KPIS, Kpi, list_kpis
from segkit.lift.factorial import Factorial, estimate_factorial_effects
from segkit.lift.measure import measure_lift
from segkit.lift.money import Money, measure_profit
from segkit.lift.outcomes import Outcomes, derive_outcomes, read_outcomes
from segkit.lift.peeking import DailyLift, measure_daily_lift
from segkit.lift.policy import SegmentPolicy, value_segment_policy
from segkit.lift.sums import attach_segments
from segkit.lift.uplift import LEARNERS, Uplift, fit_uplift
from segkit.lift.uplift_curves import (
    CONVENTIONS,
    UpliftCurve,
    coefficient,
    compute_uplift_curve,
    estimate_uplift_at,
)
from segkit.lift.verdicts import Lift

__all__ = [
    "CONVENTIONS",
    "KPIS",
    "LEARNERS",
    "Balance",
    "Change",
    "DailyLift",
    "Factorial",
    "Kpi",
    "Lift",
    "Money",
    "Outcomes",
    "SampleRatio",
    "SegmentPolicy",
    "Uplift",
    "UpliftCurve",
    "attach_segments",
    "check_balance",
    "check_sample_ratio",
    "coefficient",
    "compute_uplift_curve",
    "derive_outcomes",
    "describe_change",
    "estimate_factorial_effects",
    "estimate_uplift_at",
    "fit_uplift",
    "list_kpis",
    "measure_daily_lift",
    "measure_lift",
    "measure_profit",
    "read_outcomes",
    "value_segment_policy",
]
