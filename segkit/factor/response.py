"""Response by group, and weights that make up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, require_columns
from segkit.factor.answers import join
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.stats.intervals import wilson

if TYPE_CHECKING:
    from segkit.plot import Figure

UNKNOWN = "unknown"
LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Response(Result):
    """Who answered, by stratum, and weights that give each stratum its share of customers.

    Attributes
    ----------
    table : polars.DataFrame
        One row a stratum: ``stratum``, ``customers``, ``respondents``, ``response_rate``, ``low``,
        ``high`` (95% Wilson), ``weight`` (null where nobody answered).
    weights : polars.DataFrame
        One row a respondent: ``customer_id``, ``weight``; their mean is 1.
    by : tuple of str
        Columns that the strata are made of.
    customers, respondents : int
    p_value : float
        Chi-square test that response does not depend on the stratum; NaN for one stratum.
    design_effect : float
        Factor by which weighting widens variances (Kish 1965).
    unreached : int
        Customers in strata where nobody answered: no weight can speak for them.
    strangers : int
        Respondents who are no customers of the population, left out.
    """

    table: pl.DataFrame
    weights: pl.DataFrame
    by: tuple[str, ...]
    customers: int
    respondents: int
    p_value: float
    design_effect: float
    unreached: int
    strangers: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row a stratum."""
        return self.table

    @property
    def text(self) -> str:
        """Say how many answered, whether groups differ, and what weights can and cannot mend."""
        parts = [
            (
                f"{percent(self.respondents / self.customers)} of {number(self.customers)} "
                f"customers answered ({number(self.respondents)})."
            )
        ]
        if self.table.height > 1:
            ordered = self.table.sort("response_rate", "stratum")
            low, high = ordered.row(0, named=True), ordered.row(-1, named=True)
            differ = self.p_value < LEVEL
            parts.append(
                f"Response {'differs' if differ else 'does not clearly differ'} by "
                f"{join([name.replace('_', ' ') for name in self.by])}: from "
                f"{percent(low['response_rate'])} ({low['stratum']}) to "
                f"{percent(high['response_rate'])} ({high['stratum']})."
            )
            parts.append(
                "Weights that restore each group's share cost "
                f"{percent(1 - 1 / self.design_effect)} of the sample; within a group, whoever "
                "kept silent may still think otherwise."
            )
        if self.unreached:
            parts.append(
                f"{number(self.unreached)} customers are in groups where nobody answered; no "
                "weight speaks for them."
            )
        if self.strangers:
            parts.append(f"{number(self.strangers)} respondents are not among the customers.")
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the response rate by stratum."""
        from segkit.plot import intervals

        return intervals(
            self.table, "stratum", "response_rate", interval=("low", "high"), percent=True,
            reference=self.respondents / self.customers, title="Who answered",
            y_label="Share of customers who answered (dashed: all)",
        )  # fmt: skip


@takes_frames
def response_rates(
    population: pl.DataFrame, survey: pl.DataFrame, by: str | Sequence[str]
) -> Response:
    """Compute response by stratum, with post-stratification weights.

    A respondent's weight is its stratum's share of customers over its share of respondents.
    Source: Holt & Smith (1979), "Post stratification", JRSS A 142.

    Parameters
    ----------
    population : polars.DataFrame
        One row a customer: ``customer_id`` and the columns ``by``.
    survey : polars.DataFrame
        One row a respondent: ``customer_id``.
    by : str or sequence of str
        Columns known of every customer; a null is a stratum "unknown" of its own.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If nobody among the customers answered, or a customer comes twice.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "region": list("NNSS")})
    >>> response_rates(people, people[:3], "region").weights["weight"].to_list()
    [0.75, 0.75, 1.5]
    """
    columns = [by] if isinstance(by, str) else list(by)
    require_columns(population.columns, ["customer_id", *columns], "the population")
    require_columns(survey.columns, ["customer_id"], "the survey")
    named = population.select(
        "customer_id",
        stratum=pl.concat_str([pl.col(c).cast(pl.String).fill_null(UNKNOWN) for c in columns],
                              separator=" / "),
    )  # fmt: skip
    if named["customer_id"].n_unique() < named.height:
        raise DataError("expected one row a customer in the population; some come twice")
    who = survey.select("customer_id").unique(maintain_order=True)
    here = who.join(named, on="customer_id", how="inner", maintain_order="left")
    if here.is_empty():
        raise DataError("none of the respondents is among the customers: the ids do not match")
    counts = (
        named.group_by("stratum").len("customers")
        .join(here.group_by("stratum").len("respondents"), on="stratum", how="left")
        .with_columns(pl.col("respondents").fill_null(0))
        .sort("stratum")
    )  # fmt: skip
    asked, answered = counts["customers"].to_numpy(), counts["respondents"].to_numpy()
    reached = asked[answered > 0].sum()
    with np.errstate(divide="ignore"):
        weight = (asked / reached) / (answered / answered.sum())
    found = wilson(answered, asked)
    table = counts.with_columns(
        response_rate=pl.Series(found.value), low=pl.Series(found.low), high=pl.Series(found.high),
        weight=pl.Series(np.where(answered > 0, weight, np.nan), nan_to_null=True),
    )  # fmt: skip
    weights = here.join(
        table.select("stratum", "weight"), on="stratum", how="left", maintain_order="left"
    ).drop("stratum")
    w = weights["weight"].to_numpy()
    effect = float(len(w) * (w**2).sum() / w.sum() ** 2)
    return Response(
        table, weights, tuple(columns), named.height, here.height, _independent(asked, answered),
        effect, int(asked[answered == 0].sum()), who.height - here.height,
    )  # fmt: skip


def _independent(
    asked: np.ndarray[tuple[int], np.dtype[np.int64]],
    answered: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> float:
    from scipy.special import chdtrc

    rate = answered.sum() / asked.sum()
    if len(asked) < 2 or rate in (0.0, 1.0):
        return float("nan")
    expected = asked * rate
    chi = float(((answered - expected) ** 2 / (expected * (1 - rate))).sum())
    return float(chdtrc(len(asked) - 1, chi))
