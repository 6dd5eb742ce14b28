"""What does a customer look like? One row a customer from clean order lines and events."""

from segkit.features.build import build_features
from segkit.features.calendar import Calendar, Occasion
from segkit.features.table import CustomerTable

__all__ = ["Calendar", "CustomerTable", "Occasion", "build_features"]
