"""Which variables say something about a KPI, and which are noise."""

from segkit.screening.result import Screening
from segkit.screening.screen import screen_variables

__all__ = ["Screening", "screen_variables"]
