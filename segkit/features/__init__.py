"""Customer table: one row per customer from clean order lines and events, screened for a KPI."""

from segkit.features.attributes import (
    CustomerAttributes,
    derive_attributes,
    group_companies,
    measure_store_distances,
)
from segkit.features.build import build_features, compute_later_spend
from segkit.features.calendar import Calendar, Occasion, choose_calendar
from segkit.features.rebuild import rebuild_features
from segkit.features.screening import Screening, screen_variables
from segkit.features.table import CustomerTable

__all__ = [
    "Calendar",
    "CustomerAttributes",
    "CustomerTable",
    "Occasion",
    "Screening",
    "build_features",
    "choose_calendar",
    "compute_later_spend",
    "derive_attributes",
    "group_companies",
    "measure_store_distances",
    "rebuild_features",
    "screen_variables",
]
