"""The measured lift: verdicts of its families of tests, sentences, forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from segkit.display import figure_unit, label
from segkit.errors import ParameterError, require_choice, unknown
from segkit.lift.effects import Kpi
from segkit.lift.wording import (
    answer_words,
    arms_words,
    guardrail_words,
    guess_words,
    segment_words,
    verdict_words,
)
from segkit.result import Figure, Result
from segkit.stats.hypotheses import adjust
from segkit.stats.intervals import z_value

ALL = "all customers"
POWER = 0.8  # of the smallest effect that a test would have found
VERDICTS = ("higher", "lower", "same", "undecided", "not measured", "descriptive")


def judge(effects: pl.DataFrame, margins: Mapping[str, float], level: float) -> pl.DataFrame:
    """Add a verdict to each effect.

    A family holds the comparisons of one figure over all arms: those over all customers are one
    family, those by segment another. Within it p-values are adjusted by Holm; so are those of the
    two one-sided tests of equivalence, where a margin was declared. A metric whose denominator is
    known only after the assignment gets no verdict. A verdict agrees with the interval that is
    shown: "higher" and "lower" need an interval that excludes zero, "same" an interval within the
    margin. A mean without an interval is undecided.

    Parameters
    ----------
    effects : DataFrame
        Effects as computed by `measure_lift`.
    margins : mapping of str to float
        For each key figure, the largest difference that is not relevant.
    level : float

    Returns
    -------
    DataFrame
        With family, p_adjusted, p_same (of equivalence, adjusted), verdict ("higher", "lower",
        "same", "undecided", "not measured", "descriptive") and smallest_effect: the difference
        that would have been found with 80% power, allowing for the family.

    Notes
    -----
    Source: Schuirmann (1987), "A comparison of the two one-sided tests procedure", J.
    Pharmacokinetics and Biopharmaceutics 15; Holm (1979).
    """
    from scipy.special import ndtri

    scope = pl.when(pl.col("segment") == ALL).then(pl.lit("overall")).otherwise(pl.lit("segments"))
    framed = effects.with_columns(family=pl.col("metric") + ", " + scope)
    parts = []
    for part in framed.partition_by("family", maintain_order=True):
        p = part["p_value"].cast(pl.Float64).to_numpy()
        margin = margins.get(part["metric"][0], np.nan)
        same = _equivalence(part, margin, level)
        tests = max(1, int((~np.isnan(p)).sum()))
        reach = z_value(1 - (1 - level) / tests) + float(ndtri(POWER))
        parts.append(
            part.with_columns(
                p_adjusted=pl.Series(adjust(p)),
                p_same=pl.Series(adjust(same)),
                smallest_effect=reach * pl.col("null_error"),
                margin=pl.lit(margin, pl.Float64),
            )
        )
    return pl.concat(parts).with_columns(_verdict(1 - level).alias("verdict")).drop("margin")


def _equivalence(part: pl.DataFrame, margin: float, level: float) -> np.ndarray:
    """Return the p-value of the test of equivalence, from each interval's two sides."""
    from scipy.special import ndtr

    d, low, high = (part[f"difference{end}"].to_numpy() for end in ("", "_low", "_high"))
    with np.errstate(invalid="ignore", divide="ignore"):
        up, down = (margin - d) / (high - d), (margin + d) / (d - low)
        return np.asarray(1 - ndtr(z_value(level) * np.minimum(up, down)))


def _verdict(alpha: float) -> pl.Expr:
    differs = pl.col("p_adjusted") <= alpha
    low, high, margin = pl.col("difference_low"), pl.col("difference_high"), pl.col("margin")
    shown = low.is_not_nan() & high.is_not_nan()
    inside = shown & (low > -margin) & (high < margin)
    return (
        pl.when(pl.col("use") == "descriptive")
        .then(pl.lit("descriptive"))
        .when(pl.col("difference").is_nan() | pl.col("p_adjusted").is_nan())
        .then(pl.lit("not measured"))
        .when(differs & shown & (low > 0))
        .then(pl.lit("higher"))
        .when(differs & shown & (high < 0))
        .then(pl.lit("lower"))
        .when((pl.col("p_same").fill_nan(1.0) <= alpha) & inside)
        .then(pl.lit("same"))
        .otherwise(pl.lit("undecided"))
    )


def guardrails(
    effects: pl.DataFrame, metrics: Sequence[Kpi], margins: Mapping[str, float], level: float
) -> pl.DataFrame:
    """Test whether each guardrail is worse by less than its margin.

    Non-inferiority over all customers: the one-sided confidence limit of the difference in the
    harmful direction must be within the margin. Without a declared margin there is no test.

    Returns
    -------
    DataFrame
        metric, label, arm, difference, worst (the limit), margin, verdict ("no harm", "harm",
        "not shown" or "no margin declared"), few.

    Notes
    -----
    Source: Schumi & Wittes (2011), "Through the looking glass: understanding non-inferiority",
    Trials 12.
    """
    from scipy.special import ndtri

    down = {metric.name: metric.better == "down" for metric in metrics if metric.guardrail}
    # The two-sided limit, scaled to the one-sided level.
    scale = float(ndtri(level)) / z_value(level)
    rows = []
    watched = effects.filter(pl.col("metric").is_in(list(down)), segment=ALL)
    for row in watched.iter_rows(named=True):
        sign, margin = (1 if down[row["metric"]] else -1), margins.get(row["metric"])
        away = row["difference_high"] if sign > 0 else row["difference_low"]
        worst = row["difference"] + (away - row["difference"]) * scale
        if margin is None:
            verdict = "no margin declared"
        elif sign * worst < margin:
            verdict = "no harm"
        else:
            harmed = row["p_adjusted"] <= 1 - level and sign * row["difference"] > 0
            verdict = "harm" if harmed else "not shown"
        rows.append(row | {"worst": worst, "margin": margin, "verdict": verdict})
    schema = {
        **dict.fromkeys(("metric", "label", "arm"), pl.String),
        **dict.fromkeys(("difference", "worst", "margin"), pl.Float64),
        "verdict": pl.String,
        "few": pl.Boolean,
    }
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


Scale = Literal["difference", "relative", "shrunk"]
SCALES: tuple[Scale, ...] = get_args(Scale)

# Figures in both arms and the limits of their difference, and how each unit's table names them.
VALUES = ("value_arm", "value_control", "difference_low", "difference_high")
TABLES = {"share": "rates", "money": "money"}
UNITS = {
    "rates": ("value_arm_rate", "value_control_rate", "low_points", "high_points"),
    "money": ("money_arm", "money_control", "money_difference_low", "money_difference_high"),
    "counts": VALUES,
}


@dataclass(frozen=True, slots=True, eq=False)
class Lift(Result):
    """Lift of a campaign, overall and by segment.

    Attributes
    ----------
    effects : DataFrame
        One row per figure, arm and segment ("all customers" first): metric, label, kind, use
        ("causal" or "descriptive"), arm, control, segment, customers_arm, customers_control,
        value_arm, value_control, difference with _low and _high and its standard error, relative
        (share of the control's value) with _low and _high (infinite: unbounded), p_value, few
        (a share: fewer than 10 customers with or without the outcome in an arm; a mean or ratio:
        fewer than 5 buyers expected in the smaller arm, its interval withheld), method,
        relative_method, family, p_adjusted (Holm), p_same (equivalence, read off the
        interval), smallest_effect (by the error without effect),
        verdict, and shrunk with _low and _high (segments alone).
    heterogeneity : DataFrame
        One row per figure and arm: segments, scale, q, freedom, p_value (Cochran), i_squared,
        q_crossing, p_crossing (Gail and Simon). Empty without segments. Q is weighted by the
        segments' errors under equal effects (`segkit.stats.group_effects`), not by their own.
    guardrails : DataFrame
        metric, label, arm, difference, worst (one-sided limit towards harm), margin, verdict, few.
    control, primary : str
        The control arm, and the primary metric.
    level : float
        Nominal coverage.
    relative_method : str
        "recovered", "log", "fieller" or "delta".
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
        effects = self.effects
        for column, value in wanted.items():
            if value not in effects[column].to_list():
                names = effects[column].unique(maintain_order=True)
                raise ParameterError(unknown(column, value, names))
            effects = effects.filter(pl.col(column) == value)
        return effects.row(0, named=True)

    @property
    def best(self) -> dict[str, Any]:
        """The primary metric's effect over all customers under the arm that did best."""
        rows = self.overall.filter(pl.col("metric") == self.primary)
        return rows.row(rows["difference"].fill_nan(None).arg_max() or 0, named=True)

    @property
    def verdicts(self) -> pl.DataFrame:
        """The primary figure by arm and segment, with its verdict, as a table to read.

        Differences of shares are in percentage points.
        """
        effects = self.effects.filter(pl.col("metric") == self.primary)
        share = effects["kind"].first() == "share"
        factor, unit, rate = (100, "_points", "_rate") if share else (1, "", "")
        gaps = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
        return effects.select(
            "segment",
            "arm",
            "customers_arm",
            "customers_control",
            pl.col("value_arm", "value_control").name.suffix(rate),
            *((factor * pl.col(column)).alias(f"{name}{unit}") for name, column in gaps.items()),
            pl.col("relative").alias("lift_rate"),
            "p_adjusted",
            "verdict",
            (factor * pl.col("smallest_effect")).alias(f"smallest_visible{unit}"),
        )

    @property
    def by_unit(self) -> dict[str, pl.DataFrame]:
        """The effects over all customers, a table for each unit: rates, money, counts.

        Differences of rates are in percentage points.
        """
        tables: dict[str, pl.DataFrame] = {}
        for (kind, metric), rows in self.overall.group_by("kind", "metric", maintain_order=True):
            unit = TABLES.get(figure_unit(str(kind), str(metric)), "counts")
            factors = (1, 1, 100, 100) if unit == "rates" else (1, 1, 1, 1)
            names = zip(VALUES, UNITS[unit], factors, strict=True)
            figures = [(factor * pl.col(value)).alias(name) for value, name, factor in names]
            part = rows.select("label", "arm", *figures, "verdict")
            tables[unit] = pl.concat([tables[unit], part]) if unit in tables else part
        return tables

    def beside(self, other: Lift) -> pl.DataFrame:
        """Compare the differences over all customers with those of another measurement.

        Returns
        -------
        DataFrame
            metric, kind, label, arm, difference, low, high of this one, other_difference,
            other_low, other_high, and narrower_share: by how much this interval is shorter. Figures
            with few cases are left out because their limits are not reliable.
        """
        keys = ["metric", "arm"]
        names = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
        sound = (pl.col("use") == "causal") & ~pl.col("few")
        own = self.overall.filter(sound).select(*keys, "kind", "label", **names)
        theirs = other.overall.select(
            *keys, **{f"other_{name}": column for name, column in names.items()}
        )
        joined = own.join(theirs, on=keys, maintain_order="left")
        width = pl.col("high") - pl.col("low")
        before = pl.col("other_high") - pl.col("other_low")
        return joined.with_columns(narrower_share=1 - width / before)

    @property
    def text(self) -> str:
        """Finding: the primary figure, overall and by segment, with its caveats."""
        rows = self.overall.filter(pl.col("metric") == self.primary).to_dicts()
        parts = self._by_segment()
        sentences = [
            f"{verdict_words(row, self.level)} {parts.get(row['arm'], '')}".strip() for row in rows
        ]
        if self.covariates:
            names = ", ".join(label(name) for name in self.covariates)
            sentences.append(f"Adjusted (CUPED) for what was known beforehand: {names}.")
        if len(rows) > 1:
            sentences[0] = f"{arms_words(rows, self.level)} {sentences[0]}"
        return "\n\n".join([*sentences, *self.notes])

    @property
    def answer(self) -> str:
        """Whether the best arm changed the primary figure."""
        return answer_words(self.best, self.level)

    def compare_guess(self, base: Lift | None = None) -> str:
        """Answer whether guessed offers did as well as offers learnt from data.

        Compare two arms: the control got offers that an analyst guessed (from personas, for
        example), the first arm got offers that were learnt (from a pilot).

        Parameters
        ----------
        base : Lift, optional
            The lift of both over a third arm, such as no contact; the answer then names both lifts.

        Returns
        -------
        str
            "Yes" where the guess did the same within the margin, "and better" where it did clearly
            better, "as far as shown" where it did no worse and the difference is undecided.
        """
        row = self.row()
        beside = (
            ()
            if base is None
            else (
                base.row(metric=self.primary, arm=row["control"]),
                base.row(metric=self.primary, arm=row["arm"]),
            )
        )
        return guess_words(row, beside, self.level)

    def _by_segment(self) -> dict[str, str]:
        if self.heterogeneity.is_empty():
            return {}
        tests = self.heterogeneity.filter(metric=self.primary).to_dicts()
        segments = self.effects.filter(pl.col("segment") != ALL, metric=self.primary)
        several = len(tests) > 1
        return {
            test["arm"]: segment_words(
                segments.filter(arm=test["arm"]), test, self.level, name_arm=several
            )
            for test in tests
        }

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
        """Finding: the other causal figures over all customers (exploratory)."""
        rows = self.overall.filter((pl.col("metric") != self.primary) & (pl.col("use") == "causal"))
        if rows.is_empty():
            return ""
        clear = pl.col("verdict").is_in(["higher", "lower", "same"])
        sentences = [verdict_words(row, self.level) for row in rows.filter(clear).to_dicts()]
        rest = ", ".join(rows.filter(~clear)["label"].unique(maintain_order=True))
        if rest:
            sentences.append(
                f"Undecided, or not comparable: {rest} (their intervals are tabulated)."
            )
        return " ".join(["Explored beside the declared figure:", *sentences])

    def plot(
        self, metric: str | None = None, *, arm: str | None = None, scale: Scale = "difference"
    ) -> Figure:
        """Draw a forest plot of one figure by segment, all customers first.

        Parameters
        ----------
        metric : str, optional
            By default the primary one.
        arm : str, optional
            One arm; by default all, in different colours.
        scale : {"difference", "relative", "shrunk"}
            "shrunk" draws the segments' shrunken differences beside the plain ones.

        Raises
        ------
        ParameterError
            If the metric, arm or scale is unknown.
        """
        from segkit.plot import intervals

        require_choice("scale", scale, SCALES)
        first = self.row(metric=metric or self.primary, arm=arm or "")
        effects = self.effects.filter(metric=first["metric"])
        effects = effects if arm is None else effects.filter(arm=arm)
        several = effects["arm"].n_unique() > 1
        group = "arm" if several else None
        if scale == "shrunk":
            own = _interval_of(effects, "difference", "own data alone")
            segments = effects.filter(pl.col("segment") != ALL)
            moved = _interval_of(segments, "shrunk", "with strength from the others")
            data, group = pl.concat([own, moved]), "estimate"
            if several:
                data = data.with_columns(segment=pl.col("segment") + ", " + pl.col("arm"))
        else:
            data = _interval_of(effects, scale, "")
        points = first["kind"] == "share" and scale != "relative"
        bounded = pl.col("effect", "low", "high")
        name, control = first["label"], first["control"]
        who = "" if several else f" of {effects['arm'][0]}"
        unit = f"difference, {'percentage points' if first['kind'] == 'share' else 'per customer'}"
        return intervals(
            data.with_columns(pl.when(bounded.is_finite()).then(bounded * (100 if points else 1))),
            "segment",
            "effect",
            group=group,
            percent=scale == "relative",
            title=f"{name[0].upper()}{name[1:]}{who} against {control}, "
            f"with {self.level:.0%} intervals",
            y_label=f"relative lift over {control}" if scale == "relative" else unit,
        )


def _interval_of(effects: pl.DataFrame, scale: str, estimate: str) -> pl.DataFrame:
    return effects.select(
        "segment",
        "arm",
        effect=scale,
        low=f"{scale}_low",
        high=f"{scale}_high",
        estimate=pl.lit(estimate),
    )
