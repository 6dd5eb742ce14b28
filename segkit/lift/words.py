"""Effects in sentences."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from segkit.display import number, percent


def amount(value: float | None, kind: str) -> str:
    """Write a figure's value: a share in percent, else a number.

    Examples
    --------
    >>> amount(0.125, "share"), amount(12.5, "mean")
    ('12.50%', '12.5')
    """
    return percent(value, places=2) if kind == "share" else number(value)


def gap(value: float, kind: str) -> str:
    """Write a difference: of shares in percentage points, else a number.

    Examples
    --------
    >>> gap(-0.0125, "share"), gap(2.5, "mean")
    ('-1.25 points', '2.50')
    """
    return f"{number(100 * value)} points" if kind == "share" else number(value)


def p_words(p_value: float) -> str:
    """Write a p-value, a tiny one as a bound.

    Examples
    --------
    >>> p_words(0.0312), p_words(1e-9)
    ('p = 0.0312', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 0.0001 else f"p = {number(p_value)}"


def _bare(value: float, kind: str) -> str:
    return number(100 * value if kind == "share" else value)


def relative_words(row: dict[str, Any], level: float) -> str:
    """Write a relative lift with its interval, and say so where it is unbounded.

    Examples
    --------
    >>> relative_words({"relative": 0.3, "relative_low": 0.1, "relative_high": float("inf"),
    ...     "relative_method": "Fieller"}, 0.95)
    'relative lift 30.0% (95% interval from 10.0% on, unbounded above, Fieller)'
    """
    value, low, high = row["relative"], row["relative_low"], row["relative_high"]
    if value is None or not math.isfinite(value):
        return "no relative lift can be given, for the control's figure is not above zero"
    head = f"relative lift {percent(value)} ({percent(level, places=0)} interval "
    method = row["relative_method"].removesuffix(" ratio (Katz)").removesuffix(" ratio")
    if low is None or math.isnan(low) or math.isnan(high):
        return f"relative lift {percent(value)} (no interval: a figure is not above zero)"
    if math.isinf(high):
        return f"{head}from {percent(low)} on, unbounded above, {method})"
    return f"{head}{percent(low)} to {percent(high)}, {method})"


def verdict_words(row: dict[str, Any], level: float) -> str:
    """Write one effect over all customers as a finding."""
    kind, label = row["kind"], row["label"]
    what = f"{label[0].upper()}{label[1:]}"
    if row["verdict"] == "not measured":
        return f"{what} under {row['arm']} against {row['control']} cannot be compared."
    size = (
        f"{what} is {amount(row['value_arm'], kind)} under {row['arm']} and "
        f"{amount(row['value_control'], kind)} under {row['control']}"
    )
    interval = (
        f"{relative_words(row, level)}; a difference of {gap(row['difference'], kind)} "
        f"({_bare(row['difference_low'], kind)} to {_bare(row['difference_high'], kind)}, "
        f"{row['method'].split(' hybrid')[0]})"
    )
    verdict = {
        "higher": f"It differs: {row['arm']} is higher.",
        "lower": f"It differs: {row['arm']} is lower.",
        "same": "It is the same within the margin declared beforehand.",
        "undecided": "That is undecided: chance alone could have done it, and a difference below "
        f"{gap(row['smallest_effect'], kind)} would mostly not have been seen.",
        "descriptive": "Its denominator follows the assignment, so this describes and proves "
        "nothing.",
    }[row["verdict"]]
    few = (
        " Fewer than 10 customers of an arm stand on one side, so the limits are not vouched for."
        if row["few"]
        else ""
    )
    return f"{size}: {interval}. {verdict}{few}"


def segment_words(
    part: pl.DataFrame, tested: dict[str, Any], level: float, *, name_arm: bool
) -> str:
    """Write what the segments' effects say: which differ, and whether they differ from another."""
    under = f" under {tested['arm']}" if name_arm else ""
    said = []
    for verdict, words in (
        ("higher", "higher in"),
        ("lower", "lower in"),
        ("same", "the same within the margin in"),
        ("undecided", "undecided in"),
        ("not measured", "not comparable in"),
    ):
        names = part.filter(pl.col("verdict") == verdict)["segment"].to_list()
        if names:
            said.append(f"{words} {', '.join(names)}")
    text = f"By segment{under} it is {'; '.join(said)} (Holm over {part.height} segments)."
    few = part.filter("few")["segment"].to_list()
    if few:
        text += f" Too few cases for a sound interval in {', '.join(few)}."
    return f"{text} {_spread(tested, level)}"


def _spread(tested: dict[str, Any], level: float) -> str:
    p_value = tested["p_value"]
    if p_value is None or math.isnan(p_value):
        return "Whether segments' effects differ cannot be tested."
    told = f"(Cochran's Q {number(tested['q'])}, {p_words(p_value)})"
    if p_value > 1 - level:
        return (
            f"The segments' effects differ by no more than chance would have it {told}: read the "
            "figure over all customers, or the shrunken ones, not the segments' own."
        )
    text = f"The segments' effects differ by more than chance {told}"
    crossing = tested["p_crossing"]
    if crossing <= 1 - level:
        return f"{text}, and some gain where others lose (Gail and Simon, {p_words(crossing)})."
    return f"{text}; that some lose is not shown (Gail and Simon, {p_words(crossing)})."
