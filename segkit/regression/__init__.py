"""Drivers of customers' behaviour and their response to price, by regression."""

from segkit.regression.design import Collinearity, collinearity
from segkit.regression.drivers import Drivers, fit_drivers
from segkit.regression.importance import Importance, relative_importance
from segkit.regression.outcomes import DriverTable, driver_table
from segkit.regression.panel import PricePanel, price_panel
from segkit.regression.price import PriceResponse, price_response

__all__ = [
    "Collinearity",
    "DriverTable",
    "Drivers",
    "Importance",
    "PricePanel",
    "PriceResponse",
    "collinearity",
    "driver_table",
    "fit_drivers",
    "price_panel",
    "price_response",
    "relative_importance",
]
