"""Transform of a customer table, by steps per column that can be stored and inverted."""

from segkit.transform.steps import CENTRES, Column, exposure_of
from segkit.transform.table import Transform

__all__ = ["CENTRES", "Column", "Transform", "exposure_of"]
