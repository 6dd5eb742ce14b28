"""Transform of a customer table: steps per column, stated, stored, invertible."""

from segkit.transform.steps import CENTRES, Column
from segkit.transform.table import Transform

__all__ = ["CENTRES", "Column", "Transform"]
