"""Sentences about effects, their intervals and verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import polars as pl

from segkit.display import counted, figure_unit, money, number, percent


def amount(value: float | None, kind: str) -> str:
    """Write a figure's value: a share in percent, money as such, else a number.

    Examples
    --------
    >>> amount(0.125, "share"), amount(12.5, "mean"), amount(12.5, "money")
    ('12.5%', '12.5', '12.50')
    """
    if kind == "money":
        return money(value)
    return percent(value) if kind == "share" else number(value)


def _unit(row: dict[str, Any]) -> str:
    return figure_unit(row["kind"], row.get("metric", ""))


def gap(value: float, kind: str) -> str:
    """Write a difference: of shares in percentage points, else a number.

    Examples
    --------
    >>> gap(-0.0125, "share"), gap(2.5, "mean")
    ('-1.2 points', '2.50')
    """
    return f"{_without_unit(value, kind)}{' points' if kind == 'share' else ''}"


def _without_unit(value: float, kind: str) -> str:
    """Write a difference without its unit: points in one decimal, else as `amount`."""
    return amount(value, kind).removesuffix("%")


def answer_words(first: dict[str, Any], level: float) -> str:
    """Write whether a figure was moved by an arm, and by how much.

    Examples
    --------
    >>> row = {"kind": "share", "label": "conversion", "control": "none", "arm": "mail",
    ...     "value_arm": 0.15, "value_control": 0.1, "difference": 0.05, "difference_low": 0.01,
    ...     "difference_high": 0.09, "verdict": "higher", "p_value": 0.01}
    >>> answer_words(row, 0.95)
    'Yes: conversion under mail is 5.0 points higher than under none (95% CI 1.0 to 9.0).'
    """
    label, control, kind = first["label"], first["control"], _unit(first)
    if first["verdict"] == "not measured" or not is_number(first["difference"]):
        return f"Not measured: {label} under {first['arm']} and {control} cannot be compared."
    verdict = {"higher": "Yes", "lower": "No", "same": "No relevant difference"}
    lower = first["difference"] < 0
    undecided = f"Not shown{', other comparisons allowed for' if clear_alone(first) else ''}"
    return (
        f"{verdict.get(first['verdict'], undecided)}: {label} under {first['arm']} is "
        f"{gap(abs(first['difference']), kind)} {'lower' if lower else 'higher'} than under "
        f"{control}{_interval(first, level, turned=lower)}."
    )


def clear_alone(row: dict[str, Any]) -> bool:
    """Return whether an effect is undecided only because of the number of comparisons.

    Its own interval excludes zero, but its p-value, adjusted for the family, is too large.

    Examples
    --------
    >>> clear_alone({"verdict": "undecided", "difference_low": 0.01, "difference_high": 0.2})
    True
    """
    low, high = row["difference_low"], row["difference_high"]
    undecided = row["verdict"] == "undecided" and is_number(low) and is_number(high)
    return undecided and (low > 0 or high < 0)


def _interval(row: dict[str, Any], level: float, *, turned: bool) -> str:
    """Write the interval of a difference in brackets, of the opposite one if turned; or nothing."""
    low, high = row["difference_low"], row["difference_high"]
    if not (is_number(low) and is_number(high)):
        return ""
    low, high = (-high, -low) if turned else (low, high)
    ends = f"{_without_unit(low, _unit(row))} to {_without_unit(high, _unit(row))}"
    return f" ({percent(level, places=0)} CI {ends})"


def guess_words(row: dict[str, Any], base: Sequence[dict[str, Any]], level: float) -> str:
    """Write whether the control (a guess) did as well as the arm (learnt from data).

    ``base`` holds the effects of both against a third arm, or is empty.

    Examples
    --------
    >>> row = {"kind": "share", "label": "conversion", "control": "guess", "arm": "learnt",
    ...     "difference": -0.005, "difference_low": -0.02, "difference_high": 0.01,
    ...     "verdict": "undecided"}
    >>> base = [{"difference": gain, "control": "none"} for gain in (0.121, 0.116)]
    >>> guess_words(row, base, 0.95)
    'Yes, as far as shown: guess 12.1 and learnt 11.6 points of conversion over none, a difference \
of 0.5 (95% CI -1.0 to 2.0).'
    """
    verdict, gain, kind = row["verdict"], row["difference"], _unit(row)
    unit = " points" if kind == "share" else ""
    if verdict == "not measured" or not is_number(gain):
        return answer_words(row, level)
    undecided = "Yes, as far as shown" if gain <= 0 else "Not shown"
    head = {"higher": "No", "lower": "Yes, and better", "same": "Yes"}.get(verdict, undecided)
    limits = _interval(row, level, turned=True)
    if len(base) < 2 or not all(is_number(one["difference"]) for one in base):
        way = "lower" if gain > 0 else "higher"
        limits = _interval(row, level, turned=gain < 0)
        return (
            f"{head}: {row['label']} under {row['control']} is {gap(abs(gain), kind)} {way} than "
            f"under {row['arm']}{limits}."
        )
    guess, learnt = (_without_unit(one["difference"], kind) for one in base)
    return (
        f"{head}: {row['control']} {guess} and {row['arm']} {learnt}{unit} of {row['label']} over "
        f"{base[0]['control']}, a difference of {_without_unit(-gain, kind)}{limits}."
    )


def p_words(p_value: float) -> str:
    """Write a p-value; a very small one as "less than".

    Examples
    --------
    >>> p_words(0.0312), p_words(1e-9)
    ('p = 0.0312', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 0.0001 else f"p = {number(p_value)}"


def relative_words(row: dict[str, Any], level: float) -> str:
    """Write a relative lift with its interval, or that there is none or that it is unbounded.

    Examples
    --------
    >>> relative_words({"relative": 0.3, "relative_low": 0.1, "relative_high": float("inf"),
    ...     "relative_method": "Fieller"}, 0.95)
    'relative lift 30.0% (95% CI from 10.0% on, unbounded above, Fieller)'
    >>> relative_words({"relative": float("nan"), "value_control": -2.0}, 0.95)
    'no relative lift, for the control is below zero, where its sign would turn'
    """
    value, base = row["relative"], row.get("value_control")
    if not is_number(value):
        if is_number(base) and base == 0:
            return "no relative lift, for the control is zero"
        if is_number(base) and base < 0:
            return "no relative lift, for the control is below zero, where its sign would turn"
        return "no relative lift, for the control is not clearly above zero"
    low, high = row["relative_low"], row["relative_high"]
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return f"relative lift {percent(value)} (no interval)"
    head = f"relative lift {percent(value)} ({percent(level, places=0)} CI "
    method = row["relative_method"].removesuffix(" ratio (Katz)").removesuffix(" ratio")
    if math.isinf(high):
        return f"{head}from {percent(low)} on, unbounded above, {method})"
    return f"{head}{percent(low)} to {percent(high)}, {method})"


def is_number(value: float | None) -> TypeGuard[float]:
    """Return whether a figure is present and finite.

    Examples
    --------
    >>> is_number(0.0), is_number(None), is_number(float("nan")), is_number(float("inf"))
    (True, False, False, False)
    """
    return value is not None and math.isfinite(value)


def limits_words(row: dict[str, Any], head: str = "") -> str:
    """Write the limits of a difference, or that it has none.

    Examples
    --------
    >>> limits_words({"difference_low": float("nan"), "difference_high": 1.0, "kind": "mean"})
    'no interval'
    """
    low, high = row["difference_low"], row["difference_high"]
    if not (is_number(low) and is_number(high)):
        return "no interval"
    return f"{head}{_without_unit(low, _unit(row))} to {_without_unit(high, _unit(row))}"


def verdict_words(row: dict[str, Any], level: float) -> str:
    """Write one effect over all customers as a finding."""
    kind, label = _unit(row), row["label"]
    subject = f"{label[0].upper()}{label[1:]}"
    if row["verdict"] == "not measured":
        return _unmeasured(row, subject)
    size = (
        f"{subject} is {amount(row['value_arm'], kind)} under {row['arm']} and "
        f"{amount(row['value_control'], kind)} under {row['control']}"
    )
    limits = limits_words(row)
    method = "" if limits == "no interval" else f", {row['method'].split(' hybrid')[0]}"
    gap_words = f"a difference of {gap(row['difference'], kind)} ({limits}{method})"
    value = row["value_arm"]
    if kind == "share" and value == row["value_control"] and value in (0, 1):
        who = "nobody" if value == 0 else "everybody"
        return (
            f"{size}, which is undecided: it was {who} in both arms; {gap_words}. The interval is "
            "all that the number of customers allows to say."
        )
    verdict = {
        "higher": f"So {row['arm']} is higher, by more than chance.",
        "lower": f"So {row['arm']} is lower, by more than chance.",
        "same": "That is the same within the margin declared beforehand.",
        "undecided": _undecided(row),
        "descriptive": "Its denominator follows the assignment, so this describes and proves "
        "nothing.",
    }[row["verdict"]]
    reservation = ", which is undecided" if row["verdict"] == "undecided" else ""
    relative = relative_words(row, level)
    return f"{size}{reservation}: {relative}; {gap_words}. {verdict}{_few_words(row)}"


def _undecided(row: dict[str, Any]) -> str:
    if row["few"] and limits_words(row) == "no interval":
        return "The smaller arm expects too few buyers to decide it, or to give an interval."
    if clear_alone(row):
        return "By itself it is clear; with the other comparisons allowed for, it may be chance."
    smallest = row["smallest_effect"]
    if not (is_number(smallest) and smallest > 0):
        return "Chance alone could have done it."
    return (
        f"Chance alone could have done it, and a difference below {gap(smallest, _unit(row))} "
        "would mostly not have been seen."
    )


def _few_words(row: dict[str, Any]) -> str:
    if not row["few"]:
        return ""
    if limits_words(row) == "no interval":
        undecided = row["verdict"] == "undecided"
        return "" if undecided else " The smaller arm expects too few buyers to give an interval."
    return (
        " Fewer than 10 customers of an arm are on one side (with or without the outcome), so the "
        "interval is not vouched for."
    )


def _unmeasured(row: dict[str, Any], subject: str) -> str:
    """Write why there is no comparison."""
    arm, control = row["arm"], row["control"]
    nobody = [
        name
        for name, n in ((arm, row["customers_arm"]), (control, row["customers_control"]))
        if n == 0
    ]
    if nobody:
        why = f"there is no customer in {' and '.join(nobody)}"
    elif min(row["customers_arm"], row["customers_control"]) < 2:
        why = "an arm has a single customer"
    else:
        why = "it does not vary between customers, so that there is nothing to test against"
    values = [row["value_arm"], row["value_control"]]
    size = ""
    if is_number(values[0]) and is_number(values[1]):
        one, two = (amount(value, _unit(row)) for value in values)
        size = f" ({one} and {two})"
    return f"{subject} under {arm} and {control}{size} cannot be compared: {why}."


def arms_words(rows: list[dict[str, Any]], level: float) -> str:
    """Write one figure under several arms in one sentence: value, difference and verdict of each.

    Examples
    --------
    >>> row = {"kind": "share", "label": "conversion", "control": "none", "value_control": 0.1,
    ...     "arm": "mail", "value_arm": 0.15, "difference": 0.05, "difference_low": 0.01,
    ...     "difference_high": 0.09, "verdict": "higher"}
    >>> arms_words([row], 0.95)
    'Conversion against none (10.0%): mail 15.0%, a difference of 5.0 points (95% CI 1.0 \
to 9.0), higher.'
    """
    first = rows[0]
    kind, label = _unit(first), first["label"]
    sentences = []
    for row in rows:
        if row["verdict"] == "not measured":
            sentences.append(f"{row['arm']} cannot be compared")
            continue
        limits = limits_words(row, "" if sentences else f"{percent(level, places=0)} CI ")
        sentences.append(
            f"{row['arm']} {amount(row['value_arm'], kind)}, a difference of "
            f"{gap(row['difference'], kind)} ({limits}), {row['verdict']}"
        )
    subject = f"{label[0].upper()}{label[1:]} against {first['control']}"
    return f"{subject} ({amount(first['value_control'], kind)}): {'; '.join(sentences)}."


def segment_words(
    part: pl.DataFrame, spread: dict[str, Any], level: float, *, name_arm: bool
) -> str:
    """Write which segments have a clear effect, and whether the effects differ between segments."""
    under = f" under {spread['arm']}" if name_arm else ""
    sentences = []
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
            sentences.append(
                f"{words} {f'all {number(len(names))}' if every else ', '.join(names)}"
            )
    tested = part.filter(pl.col("p_value").is_not_nan()).height
    holm = f" (Holm over {counted(tested, 'segment')})" if tested else ""
    text = f"By segment{under} it is {'; '.join(sentences)}{holm}."
    few = part.filter("few")["segment"].to_list()
    if few:
        where = f"each of the {number(len(few))}" if len(few) == part.height > 1 else ", ".join(few)
        text += f" Too few cases for a sound interval in {where}."
    return f"{text} {_spread(spread, level)}"


def _spread(tested: dict[str, Any], level: float) -> str:
    p_value = tested["p_value"]
    if p_value is None or math.isnan(p_value):
        return "Whether segments' effects differ cannot be tested."
    test = f"(Cochran's Q {number(tested['q'])}, {p_words(p_value)})"
    if p_value > 1 - level:
        return (
            f"The segments' effects differ by no more than chance would have it {test}: read the "
            "figure over all customers, or the shrunken ones, not the segments' own."
        )
    text = f"The segments' effects differ by more than chance {test}"
    crossing = tested["p_crossing"]
    if not is_number(crossing):
        return f"{text}."
    if crossing <= 1 - level:
        return f"{text}, and some gain where others lose (Gail and Simon, {p_words(crossing)})."
    return f"{text}; that some lose is not shown (Gail and Simon, {p_words(crossing)})."


def guardrail_words(row: dict[str, Any], kind: str, control: str, level: float) -> str:
    """Write whether a guardrail was kept.

    Examples
    --------
    >>> row = {"label": "returns", "arm": "mail", "difference": 0.5, "worst": 2.0, "margin": 1.0,
    ...     "verdict": "not shown", "few": False}
    >>> guardrail_words(row, "mean", "none", 0.95)
    'Returns under mail against none: a difference of 0.500, at worst 2 (95% one-sided); that it \
does no harm is not shown, for the margin is 1.'
    """
    label = row["label"]
    subject = f"{label[0].upper()}{label[1:]} under {row['arm']} against {control}"
    if not is_number(row["difference"]):
        return f"{subject}: cannot be compared."
    worst = "no limit can be given"
    if is_number(row["worst"]):
        worst = f"at worst {gap(row['worst'], kind)} ({percent(level, places=0)} one-sided)"
    margin = "" if row["margin"] is None else gap(row["margin"], kind)
    verdict = {
        "no harm": f"no harm, for that is less than the margin of {margin}",
        "harm": "harm is shown",
        "not shown": f"that it does no harm is not shown, for the margin is {margin}",
        "no margin declared": "no margin was declared, so nothing is concluded",
    }[row["verdict"]]
    few = " (few cases)" if row["few"] else ""
    return f"{subject}: a difference of {gap(row['difference'], kind)}, {worst}; {verdict}{few}."
