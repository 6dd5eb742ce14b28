"""Do customers come back: retention and revenue by acquisition cohort, repeat rate, time to it."""

from segkit.cohorts.repeats import RepeatRate, repeat_rate
from segkit.cohorts.retained import Retention, retention

__all__ = ["RepeatRate", "Retention", "repeat_rate", "retention"]
