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
        "higher": f"So {row['arm']} is higher, by more than chance.",
        "lower": f"So {row['arm']} is lower, by more than chance.",
        "same": "That is the same within the margin declared beforehand.",
        "undecided": "Chance alone could have done it, and a difference below "
        f"{gap(row['smallest_effect'], kind)} would mostly not have been seen.",
        "descriptive": "Its denominator follows the assignment, so this describes and proves "
        "nothing.",
    }[row["verdict"]]
    few = (
        " Fewer than 10 customers of an arm stand on one side, so the limits are not vouched for."
        if row["few"]
        else ""
    )
    told = ", which is undecided" if row["verdict"] == "undecided" else ""
    return f"{size}{told}: {interval}. {verdict}{few}"


def arms_words(rows: list[dict[str, Any]], level: float) -> str:
    """Write one figure under several arms in one sentence: value, difference and verdict of each.

    Examples
    --------
    >>> row = {"kind": "share", "label": "conversion", "control": "none", "value_control": 0.1,
    ...     "arm": "mail", "value_arm": 0.15, "difference": 0.05, "difference_low": 0.01,
    ...     "difference_high": 0.09, "verdict": "higher"}
    >>> arms_words([row], 0.95)
    'Conversion against none (10.00%): mail 15.00%, a difference of 5 points (95% interval 1 \
to 9), higher.'
    """
    first = rows[0]
    kind, label = first["kind"], first["label"]
    said = []
    for row in rows:
        if row["verdict"] == "not measured":
            said.append(f"{row['arm']} cannot be compared")
            continue
        interval = "" if said else f"{percent(level, places=0)} interval "
        said.append(
            f"{row['arm']} {amount(row['value_arm'], kind)}, a difference of "
            f"{gap(row['difference'], kind)} ({interval}{_bare(row['difference_low'], kind)} to "
            f"{_bare(row['difference_high'], kind)}), {row['verdict']}"
        )
    what = f"{label[0].upper()}{label[1:]} against {first['control']}"
    return f"{what} ({amount(first['value_control'], kind)}): {'; '.join(said)}."


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
            every = len(names) == part.height and len(names) > 1
            said.append(f"{words} {f'all {number(len(names))}' if every else ', '.join(names)}")
    text = f"By segment{under} it is {'; '.join(said)} (Holm over {part.height} segments)."
    few = part.filter("few")["segment"].to_list()
    if few:
        where = f"each of the {number(len(few))}" if len(few) == part.height > 1 else ", ".join(few)
        text += f" Too few cases for a sound interval in {where}."
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
