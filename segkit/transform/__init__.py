"""Transform of a customer table, by steps per column that can be stored and inverted."""

from segkit.transform.steps import CENTRES, Column
from segkit.transform.table import Transform

__all__ = ["CENTRES", "Column", "Transform"]
