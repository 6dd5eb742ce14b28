"""Differs, same, or undecided: what the tests of a family allow to be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from segkit.lift.metrics import Kpi
from segkit.stats.hypotheses import adjust
from segkit.stats.intervals import z_value

ALL = "all customers"
VERDICTS = ("higher", "lower", "same", "undecided", "not measured", "descriptive")


def judge(
    effects: pl.DataFrame, margins: Mapping[str, float], level: float, power: float
) -> pl.DataFrame:
    """Add a verdict to each effect.

    A family holds the comparisons of one figure over all arms: those over all customers are one
    family, those by segment another. Within it p-values are adjusted by Holm; so are those of the
    two one-sided tests of equivalence, where a margin was declared. A metric whose denominator
    follows the assignment gets no verdict. A verdict agrees with the interval that is shown:
    "higher" and "lower" need one that leaves zero out, "same" one that lies within the margin, and
    a mean whose interval is withheld is undecided.

    Parameters
    ----------
    effects : DataFrame
        As `measure_lift` makes them.
    margins : mapping of str to float
        Kpi to the difference that does not matter.
    level, power : float

    Returns
    -------
    DataFrame
        With family, p_adjusted, p_same (of equivalence, adjusted), verdict ("higher", "lower",
        "same", "undecided", "not measured", "descriptive") and smallest_effect: the difference
        that would have been found with the given power, allowing for the family.

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
        reach = z_value(1 - (1 - level) / tests) + float(ndtri(power))
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
    """Return the p-value of "at least the margin apart", read off each interval's two reaches."""
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
    """Did it do harm: is each guardrail worse by less than its margin?

    Non-inferiority over all customers: the one-sided limit of the difference towards harm, at the
    given level, must lie short of the margin. Without a declared margin nothing can be shown.

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
    rows = []
    for row in effects.filter(
        pl.col("metric").is_in(list(down)) & (pl.col("segment") == ALL)
    ).iter_rows(named=True):
        sign = 1 if down[row["metric"]] else -1
        away = row["difference_high"] if sign > 0 else row["difference_low"]
        # The two-sided limit, scaled to the one-sided level.
        reach = (away - row["difference"]) * float(ndtri(level)) / z_value(level)
        worst = row["difference"] + reach
        margin = margins.get(row["metric"])
        if margin is None:
            verdict = "no margin declared"
        elif sign * worst < margin:
            verdict = "no harm"
        else:
            harmed = row["p_adjusted"] <= 1 - level and sign * row["difference"] > 0
            verdict = "harm" if harmed else "not shown"
        rows.append(
            {
                "metric": row["metric"], "label": row["label"], "arm": row["arm"],
                "difference": row["difference"], "worst": worst, "margin": margin,
                "verdict": verdict, "few": row["few"],
            }
        )  # fmt: skip
    schema = {
        "metric": pl.String, "label": pl.String, "arm": pl.String, "difference": pl.Float64,
        "worst": pl.Float64, "margin": pl.Float64, "verdict": pl.String, "few": pl.Boolean,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)
