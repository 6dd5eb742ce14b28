"""The measured lift: figures by arm and segment, their verdicts in words, the forest plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.errors import ParameterError, unknown
from segkit.labels import label
from segkit.lift.verdicts import ALL
from segkit.lift.words import arms_words, guardrail_words, segment_words, verdict_words
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

SCALES = ("difference", "relative", "shrunk")


@dataclass(frozen=True, slots=True, eq=False)
class Lift(Result):
    """What the campaign changed, overall and by segment.

    Attributes
    ----------
    effects : DataFrame
        One row a figure, arm and segment ("all customers" first): metric, label, kind, use
        ("causal" or "descriptive"), arm, control, segment, customers_arm, customers_control,
        value_arm, value_control, difference with _low and _high and its standard error, relative
        (share of the control's value) with _low and _high (infinite: unbounded), p_value, few
        (a share: fewer than 10 customers with or without the outcome in an arm; a mean or ratio:
        fewer than 5 buyers expected in the smaller arm, its interval withheld), method,
        relative_method, family, p_adjusted (Holm), p_same (equivalence, read off the
        interval), smallest_effect (by the error without effect),
        verdict, and shrunk with _low and _high (segments alone).
    heterogeneity : DataFrame
        One row a figure and arm: segments, scale, q, freedom, p_value (Cochran), i_squared,
        q_crossing, p_crossing (Gail and Simon). Empty without segments. Q is weighted by the
        segments' errors under equal effects (`segkit.stats.group_effects`), not by their own.
    guardrails : DataFrame
        metric, label, arm, difference, worst (one-sided limit towards harm), margin, verdict, few.
    control, primary : str
        The arm compared with, and the metric that decides.
    level : float
        Nominal coverage.
    relative_method : str
        "log", "fieller" or "delta".
    covariates : tuple of str
        What CUPED adjusted for.
    notes : tuple of str
        What a reader must know beside the figures.
    """

    effects: pl.DataFrame
    heterogeneity: pl.DataFrame
    guardrails: pl.DataFrame
    control: str
    primary: str
    level: float
    relative_method: str
    covariates: tuple[str, ...]
    notes: tuple[str, ...]

    def to_frame(self) -> pl.DataFrame:
        """Return the effects, one row a figure, arm and segment."""
        return self.effects

    @property
    def overall(self) -> pl.DataFrame:
        """The effects over all customers."""
        return self.effects.filter(pl.col("segment") == ALL)

    def row(self, *, metric: str = "", arm: str = "", segment: str = ALL) -> dict[str, Any]:
        """Return one effect; by default the primary metric of the first arm over all customers.

        Raises
        ------
        ParameterError
            If there is no such effect.
        """
        wanted = {"metric": metric or self.primary, "segment": segment}
        wanted |= {"arm": arm} if arm else {}
        found = self.effects
        for column, value in wanted.items():
            if value not in found[column].to_list():
                names = found[column].unique(maintain_order=True)
                raise ParameterError(unknown(column, value, names))
            found = found.filter(pl.col(column) == value)
        return found.row(0, named=True)

    @property
    def verdicts(self) -> pl.DataFrame:
        """The primary figure by arm and segment, with its verdict, for reading.

        Differences of shares are in percentage points.
        """
        some = self.effects.filter(pl.col("metric") == self.primary)
        share = some["kind"].first() == "share"
        factor, unit = (100, "_points") if share else (1, "")
        rate = "_rate" if share else ""
        gaps = {
            f"{name}{unit}": factor * pl.col(column)
            for name, column in (
                ("difference", "difference"), ("low", "difference_low"),
                ("high", "difference_high"), ("smallest_visible", "smallest_effect"),
            )
        }  # fmt: skip
        small = gaps.pop(f"smallest_visible{unit}")
        return some.select(
            "segment",
            "arm",
            "customers_arm",
            "customers_control",
            pl.col("value_arm").alias(f"value_arm{rate}"),
            pl.col("value_control").alias(f"value_control{rate}"),
            **gaps,
            lift_rate="relative",
            p_adjusted="p_adjusted",
            verdict="verdict",
            **{f"smallest_visible{unit}": small},
        )

    def beside(self, other: Lift) -> pl.DataFrame:
        """Compare the differences over all customers with those of another measurement.

        Returns
        -------
        DataFrame
            label, arm, difference, low, high of this one, other_difference, other_low, other_high,
            and narrower_share: by how much this one's interval is shorter. Figures with few cases
            are left out, for their limits are not vouched for.
        """
        keys = ["metric", "arm"]
        names = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
        sound = (pl.col("use") == "causal") & ~pl.col("few")
        own = self.overall.filter(sound).select(*keys, "label", **names)
        theirs = other.overall.select(
            *keys, **{f"other_{name}": column for name, column in names.items()}
        )
        joined = own.join(theirs, on=keys, maintain_order="left")
        width = pl.col("high") - pl.col("low")
        before = pl.col("other_high") - pl.col("other_low")
        return joined.with_columns(narrower_share=1 - width / before).drop("metric")

    @property
    def text(self) -> str:
        """The primary figure in words, overall and by segment, with its caveats."""
        rows = self.overall.filter(pl.col("metric") == self.primary)
        parts = self._by_segment()
        said = [
            f"{verdict_words(row, self.level)} {parts.get(row['arm'], '')}".strip()
            for row in rows.iter_rows(named=True)
        ]
        if self.covariates:
            said.append(
                "Adjusted (CUPED) for what was known beforehand: "
                f"{', '.join(label(name) for name in self.covariates)}."
            )
        head = [] if rows.height < 2 else [arms_words(rows.to_dicts(), self.level)]
        return "\n\n".join([" ".join([*head, *said[:1]]), *said[1:], *self.notes])

    def _by_segment(self) -> dict[str, str]:
        if self.heterogeneity.is_empty():
            return {}
        own = pl.col("metric") == self.primary
        several = self.heterogeneity.filter(own).height > 1
        said = {}
        for tested in self.heterogeneity.filter(own).iter_rows(named=True):
            part = self.effects.filter(
                own & (pl.col("segment") != ALL) & (pl.col("arm") == tested["arm"])
            )
            said[tested["arm"]] = segment_words(part, tested, self.level, name_arm=several)
        return said

    @property
    def guardrail_text(self) -> str:
        """Whether the guardrails were kept, in words."""
        if self.guardrails.is_empty():
            return "No guardrail (unsubscribes, complaints) was measured."
        kinds = dict(self.effects.select("metric", "kind").iter_rows())
        return " ".join(
            guardrail_words(row, kinds[row["metric"]], self.control, self.level)
            for row in self.guardrails.iter_rows(named=True)
        )

    @property
    def secondary_text(self) -> str:
        """The other causal figures over all customers, in words: explored, not decided on."""
        rows = self.overall.filter((pl.col("metric") != self.primary) & (pl.col("use") == "causal"))
        if rows.is_empty():
            return ""
        sure = rows.filter(pl.col("verdict").is_in(["higher", "lower", "same"]))
        said = [verdict_words(row, self.level) for row in sure.iter_rows(named=True)]
        if sure.height < rows.height:
            rest = rows.filter(~pl.col("verdict").is_in(["higher", "lower", "same"]))
            names = ", ".join(rest["label"].unique(maintain_order=True))
            said.append(f"Undecided, or not comparable: {names} (their intervals are tabulated).")
        return " ".join(["Explored beside the declared figure:", *said])

    def plot(
        self, metric: str | None = None, *, arm: str | None = None, scale: str = "difference"
    ) -> Figure:
        """Draw a forest plot of one figure by segment, all customers first.

        Parameters
        ----------
        metric : str, optional
            By default the primary one.
        arm : str, optional
            One arm; by default all, told apart by colour.
        scale : {"difference", "relative", "shrunk"}
            "shrunk" draws the segments' shrunken differences beside the plain ones.

        Raises
        ------
        ParameterError
            If the metric, arm or scale is unknown.
        """
        from segkit.lift.pictures import forest

        if scale not in SCALES:
            raise ParameterError(unknown("scale", scale, SCALES))
        self.row(metric=metric or self.primary, arm=arm or "")
        return forest(self, metric or self.primary, arm, scale)
