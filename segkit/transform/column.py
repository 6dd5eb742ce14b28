"""One column's steps: what they are called, and what fitting has learnt."""

from __future__ import annotations

from dataclasses import dataclass

from segkit.display import number
from segkit.errors import ParameterError, unknown

SHAPES = ("none", "log1p", "signed_log", "sqrt", "arcsine", "yeo_johnson")
SCALES = ("standard", "robust", "none")
FILLS = ("median", "mean", "min", "max", "worst")
# What the mean of transformed values is, once turned back into the column's own units.
CENTRES = {
    "none": "mean",
    "log1p": "geometric mean of 1 + value, less 1",
    "signed_log": "mean of signed logs, turned back",
    "sqrt": "squared mean of roots",
    "arcsine": "mean of arcsine roots, turned back",
    "yeo_johnson": "mean of Yeo-Johnson values, turned back",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column's steps, in the order in which they are done: fill, winsorise, shape, scale.

    Attributes
    ----------
    name : str
    shape : str
        One of none, log1p, signed_log (sign times log1p of the absolute value), sqrt, arcsine
        (arcsine of the root, for shares of one), yeo_johnson.
    winsor : tuple of two floats or None
        Quantiles beyond which values are pulled in.
    fill : str, float or None
        What stands for a missing value: median, mean, min, max, worst (the largest for recency,
        gaps, returns and the like, else the smallest) or a value; None: a missing value is an
        error.
    scale : str
        standard (mean, standard deviation), robust (median, interquartile range / 1.349) or none.
    group : str or None
        Topic; the columns of one topic together weigh as much as one column alone.
    weight : float
        Factor after scaling, on top of the topic's.
    why : str
        The reason for these steps.
    filled, fill_value, lower, upper, power, centre, spread, factor
        Fitted: missing values filled in the fitted data, by what; winsorising limits in original
        units; Yeo-Johnson's lambda; location and scale of the shaped values; final factor.
    """

    name: str
    shape: str = "none"
    winsor: tuple[float, float] | None = None
    fill: str | float | None = None
    scale: str = "standard"
    group: str | None = None
    weight: float = 1.0
    why: str = "stated by the user"
    filled: int | None = None
    fill_value: float | None = None
    lower: float | None = None
    upper: float | None = None
    power: float | None = None
    centre: float = 0.0
    spread: float = 1.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ParameterError(unknown("shape", self.shape, SHAPES))
        if self.scale not in SCALES:
            raise ParameterError(unknown("scale", self.scale, SCALES))
        if isinstance(self.fill, str) and self.fill not in FILLS:
            raise ParameterError(unknown("fill", self.fill, FILLS) + ", or a number")
        if self.winsor is not None and not 0 <= self.winsor[0] < self.winsor[1] <= 1:
            raise ParameterError(
                f"winsor needs two rising quantiles between 0 and 1; got {self.winsor}"
            )
        if not self.weight > 0:
            raise ParameterError(f"a weight must be positive; {self.name} has {self.weight}")

    @property
    def total(self) -> float:
        """Factor after scaling: the topic's times the column's own."""
        return self.factor * self.weight

    @property
    def steps(self) -> str:
        """The steps in words."""
        parts = []
        if self.fill is not None:
            with_value = isinstance(self.fill, str) and self.fill_value is not None
            value = f" ({number(self.fill_value)})" if with_value else ""
            parts.append(f"missing as {self.fill}{value}")
        if self.winsor is not None:
            low, high = self.winsor
            parts.append(f"winsorised at {low:g} and {high:g}")
        if self.shape != "none":
            parts.append(self.shape.replace("_", "-" if self.shape == "yeo_johnson" else " "))
        if self.scale != "none":
            parts.append(f"{self.scale} scale")
        if self.group is not None or self.weight != 1:
            parts.append(f"times {number(self.total)}")
        return ", ".join(parts) or "as it is"
