"""Course on segmentation from the notebooks: lessons, exercises, slides, notes and checks."""

from segkit.course.build import VARIANTS, Built, build_course
from segkit.course.checking import CheckError, check
from segkit.course.matrix import CheckMatrix, check_course

__all__ = [
    "VARIANTS",
    "Built",
    "CheckError",
    "CheckMatrix",
    "build_course",
    "check",
    "check_course",
]
