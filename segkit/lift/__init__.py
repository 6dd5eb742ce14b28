"""Lift of a campaign, for whom and at what profit; uplift of customers, and whom to contact."""

from segkit.lift.balance import Balance, SampleRatio, check_balance, sample_ratio
from segkit.lift.describing import Change, describe_change
from segkit.lift.effects import KPIS, Kpi, kpi_table
from segkit.lift.factorial import Factorial, factorial_effects
from segkit.lift.measure import measure_lift
from segkit.lift.money import Money, campaign_profit
from segkit.lift.outcomes import Outcomes, derive_outcomes, given_outcomes
from segkit.lift.peeking import DailyLift, daily_lift
from segkit.lift.policy import SegmentPolicy, segment_policy
from segkit.lift.sums import attach_segments
from segkit.lift.uplift import LEARNERS, Uplift, fit_uplift
from segkit.lift.uplift_curves import CONVENTIONS, UpliftCurve, coefficient, uplift_at, uplift_curve
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
    "campaign_profit",
    "check_balance",
    "coefficient",
    "daily_lift",
    "derive_outcomes",
    "describe_change",
    "factorial_effects",
    "fit_uplift",
    "given_outcomes",
    "kpi_table",
    "measure_lift",
    "sample_ratio",
    "segment_policy",
    "uplift_at",
    "uplift_curve",
]
