"""Did the campaign work, for whom, at what profit?"""

from segkit.lift.balance import Balance, SampleRatio, check_balance, sample_ratio
from segkit.lift.derive import derive_outcomes
from segkit.lift.describing import Change, describe_change
from segkit.lift.design import attach_segments
from segkit.lift.factorial import Factorial, factorial_effects
from segkit.lift.measure import measure_lift
from segkit.lift.metrics import KPIS, Kpi, kpi_table
from segkit.lift.money import Money, campaign_profit
from segkit.lift.outcomes import Outcomes, given_outcomes
from segkit.lift.peeking import DailyLift, daily_lift
from segkit.lift.result import Lift

__all__ = [
    "KPIS",
    "Balance",
    "Change",
    "DailyLift",
    "Factorial",
    "Kpi",
    "Lift",
    "Money",
    "Outcomes",
    "SampleRatio",
    "attach_segments",
    "campaign_profit",
    "check_balance",
    "daily_lift",
    "derive_outcomes",
    "describe_change",
    "factorial_effects",
    "given_outcomes",
    "kpi_table",
    "measure_lift",
    "sample_ratio",
]
