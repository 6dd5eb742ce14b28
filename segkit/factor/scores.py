"""How does each respondent stand on each factor?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError, ParameterError
from segkit.factor.answers import join, read_answers
from segkit.factor.weights import apply_weights, check_score, determinacy
from segkit.result import Result, check_customers

if TYPE_CHECKING:
    from segkit.factor.model import FactorModel
    from segkit.plot import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Scores(Result):
    """Factor scores of respondents.

    Attributes
    ----------
    frame : polars.DataFrame
        Rows in the answers' order: ``customer_id`` where the answers had one, and a column a
        factor in standard deviations of the factor; null without a score.
    names : tuple of str
        The factors' names, one a column.
    method : str
        "regression", "bartlett" or "tenberge".
    least : int
        Answers that a score needs.
    items, people, partial, without : int
        Items; respondents; those scored from some of their answers; those without a score.
    determinacy : tuple of float
        Per factor, how far a regression score from all answers correlates with the factor.
    """

    frame: pl.DataFrame
    names: tuple[str, ...]
    method: str
    least: int
    items: int
    people: int
    partial: int
    without: int
    determinacy: tuple[float, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the scores."""
        return self.frame

    @property
    def text(self) -> str:
        """Say who has scores, how missing answers were treated, and how far to trust scores."""
        parts = [
            (
                f"{number(self.people - self.without)} of {number(self.people)} respondents have "
                f"scores ({self.method})."
            )
        ]
        if self.partial or self.without:
            parts.append(
                f"Of these, {number(self.partial)} left items open and are scored from the others; "
                f"{number(self.without)} answered fewer than {number(self.least)} of "
                f"{number(self.items)} items, or none about some factor, and have no score."
            )
        low = int(np.argmin(self.determinacy))
        told = [f"{n} {number(d)}" for n, d in zip(self.names, self.determinacy, strict=True)]
        parts.append(f"Correlation of scores with what they stand for: {join(told)}.")
        if self.determinacy[low] < 0.8:
            parts.append(f"Too loose to judge one person by: {self.names[low]}.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the distribution of each factor's scores."""
        from segkit.plot import histograms

        columns = [name for name in self.frame.columns if name != "customer_id"]
        return histograms(self.frame.select(columns), columns, title="Scores (standard deviations)")


def score_frame(model: FactorModel, frame: pl.DataFrame, method: str, least: int | None) -> Scores:
    """Score a frame of answers by a fitted model; see `FactorModel.score`."""
    check_score(method)
    check_customers(frame)
    inner = model.score_model()
    side = model.side
    if side is None:
        raise DataError("this model has no scoring side; fit it to a frame")
    p = len(model.items)
    needed = (p + 1) // 2 if least is None else least
    if not 1 <= needed <= p:
        raise ParameterError(f"least must lie between 1 and {p} items, got {needed}")
    values = side.coding.apply(read_answers(frame, model.items, check=False).values)
    scores, partial, without = apply_weights(
        values, (side.means, side.sds), inner, method, least=needed
    )
    data: dict[str, pl.Series] = {}
    if "customer_id" in frame.columns:
        data["customer_id"] = frame.get_column("customer_id")
    for name, column in zip(model.columns, scores.T, strict=True):
        data[name] = pl.Series(name, column, dtype=pl.Float64, nan_to_null=True)
    return Scores(
        pl.DataFrame(data), model.names, method, needed, p, len(values), partial, without,
        tuple(determinacy(inner).tolist()),
    )  # fmt: skip
