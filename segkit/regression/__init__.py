"""Drivers of customers' behaviour and their response to price, by regression."""

from segkit.regression.design import Collinearity, measure_collinearity
from segkit.regression.drivers import Drivers, fit_drivers
from segkit.regression.importance import Importance, measure_importance
from segkit.regression.outcomes import DriverTable, build_driver_table
from segkit.regression.panel import PricePanel, build_price_panel
from segkit.regression.price import PriceResponse, estimate_price_response

__all__ = [
    "Collinearity",
    "DriverTable",
    "Drivers",
    "Importance",
    "PricePanel",
    "PriceResponse",
    "build_driver_table",
    "build_price_panel",
    "estimate_price_response",
    "fit_drivers",
    "measure_collinearity",
    "measure_importance",
]
