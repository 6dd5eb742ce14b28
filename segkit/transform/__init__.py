"""Transform of a customer table, by steps per column that can be stored and inverted."""

from segkit.transform.steps import CENTRES, Column, exposure_of
from segkit.transform.table import RowTransform, Transform

__all__ = ["CENTRES", "Column", "RowTransform", "Transform", "exposure_of"]
