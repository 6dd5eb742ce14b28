"""The screening's result: what each variable is worth for a KPI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number, percent
from segkit.errors import ParameterError, unknown
from segkit.labels import label
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

VERDICTS = ("keep", "redundant", "noise", "constant")
NAMED = 12


def _listed(names: list[str], most: int = NAMED) -> str:
    more = len(names) - most
    shown = ", ".join(label(name) for name in (names[:most] if more > 1 else names))
    return f"{shown} and {number(more)} more" if more > 1 else shown


@dataclass(frozen=True, slots=True, eq=False)
class Screening(Result):
    """What each variable is worth for a KPI.

    Attributes
    ----------
    variables : polars.DataFrame
        One row a variable, best score first: verdict and reason; missing_share and
        commonest_share (missing counts as a value); mutual_information in nats between the
        variable's and the KPI's bins, its permutation p_value and the Benjamini-Hochberg
        p_adjusted; score on held-out rows; cluster of variables that repeat each other, their
        representative and the Spearman correlation with it; kpi_spearman; shares_rows (computed
        from the same table over the same days as the KPI).
    kpi : str
    metric : str
        What the score is: "R2" (of the KPI's ranks; 0 = no better than the mean) or "AUC"
        (0.5 = no better than chance).
    level : float
        Share of unrelated variables that pass for related by chance.
    redundancy : float
        Absolute Spearman correlation above which variables repeat each other.
    n_rows : int
        Customers with a known KPI.
    n_used : int
        Of these, the customers in the sample that scores and permutations use.
    permutations : int
    """

    variables: pl.DataFrame
    kpi: str
    metric: str
    level: float
    redundancy: float
    n_rows: int
    n_used: int
    permutations: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row a variable."""
        return self.variables

    def names(self, verdict: str) -> list[str]:
        """Name the variables of a verdict: "keep", "redundant", "noise" or "constant"."""
        if verdict not in VERDICTS:
            raise ParameterError(unknown("verdict", verdict, VERDICTS))
        return self.variables.filter(pl.col("verdict") == verdict)["variable"].to_list()

    @property
    def text(self) -> str:
        """Which variables are worth keeping, which are noise, and at what error rate."""
        tested = self.variables["p_value"].count()
        head = (
            f"Of {number(self.variables.height)} variables screened against {label(self.kpi)} "
            f"({number(self.n_rows)} customers), {number(len(self.names('keep')))} are kept."
        )
        parts = [head]
        best = self.variables.filter(pl.col("verdict") == "keep").head(1)
        if best.height:
            scale = "1 is perfect, 0 " if self.metric == "R2" else "1 is perfect, 0.5 "
            parts.append(
                f"Alone, {label(best['variable'].item())} foretells it best: held-out "
                f"{self.metric} {number(best['score'].item())} ({scale}worthless)."
            )
        noise = self.names("noise")
        parts.append(f"Noise: {_listed(noise)}." if noise else "No variable looks like noise.")
        for verdict, words in (("redundant", "Repeat another"), ("constant", "Hardly vary")):
            if found := self.names(verdict):
                parts.append(f"{words}: {_listed(found)}.")
        chance = number(self.level * tested, digits=2)
        parts.append(
            f"An unrelated variable passes with a chance of {percent(self.level, places=0)}: if "
            f"all {number(tested)} tested were unrelated, about {chance} would."
        )
        return " ".join([*parts, *self._warnings()])

    def _warnings(self) -> list[str]:
        kept = pl.col("shares_rows") & (pl.col("verdict") == "keep")
        same = self.variables.filter(kept)["variable"].to_list()
        near = self.variables.filter(pl.col("kpi_spearman").abs() > 0.95)["variable"].to_list()
        warnings = []
        if same:
            warnings.append(
                f"Beware: {label(self.kpi)} is computed from the same rows as "
                f"{_listed(same, 5)}; their relation is partly arithmetic. Take the KPI from a "
                "later period."
            )
        if near:
            warnings.append(f"{_listed(near)} nearly is {label(self.kpi)} itself.")
        return warnings

    def plot(self) -> Figure:
        """Draw the held-out score of the 25 best variables."""
        from segkit.plot import bars

        shown = self.variables.filter(pl.col("score").is_not_null()).head(25)
        what = f"held-out {self.metric} of {label(self.kpi)}, variable alone"
        named = pl.col("variable").map_elements(label, return_dtype=pl.String)
        rows = shown.select(variable=pl.format("{} ({})", named, "verdict"), score="score")
        reference = 0.0 if self.metric == "R2" else 0.5
        return bars(
            rows, "variable", "score", reference=reference, y_label=what, percent=False,
            title=f"{number(len(self.names('keep')))} variables tell about {label(self.kpi)}",
        )  # fmt: skip
