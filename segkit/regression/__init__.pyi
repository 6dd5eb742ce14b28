from segkit.regression.design import Collinearity as Collinearity
from segkit.regression.design import measure_collinearity as measure_collinearity
from segkit.regression.drivers import Drivers as Drivers
from segkit.regression.drivers import fit_drivers as fit_drivers
from segkit.regression.importance import Importance as Importance
from segkit.regression.importance import measure_importance as measure_importance
from segkit.regression.outcomes import DriverTable as DriverTable
from segkit.regression.outcomes import build_driver_table as build_driver_table
from segkit.regression.panel import PricePanel as PricePanel
from segkit.regression.panel import build_price_panel as build_price_panel
from segkit.regression.price import PriceResponse as PriceResponse
from segkit.regression.price import estimate_price_response as estimate_price_response

__all__: list[str]
