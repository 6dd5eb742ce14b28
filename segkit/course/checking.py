"""Checks of students' answers, with messages that explain what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_SHOWN = 6
OPEN = ...  # what an exercise leaves in the place of an answer


class CheckError(AssertionError):
    """An answer that is missing or wrong; the message says what is wrong with it."""

    def _render_traceback_(self) -> list[str]:
        """Show the message alone in a notebook: the library's own lines help no student."""
        return [f"Not yet: {self}"]


def check(
    name: str,
    answer: Any,
    expected: Any,
    *,
    within: float = 1e-6,
    slips: Mapping[str, Any] | None = None,
    hint: str = "",
) -> None:
    """Check a student's answer: print that it is right, or raise an error that says what is wrong.

    Parameters
    ----------
    name : str
        Name of the variable that holds the answer.
    answer : number, text, bool or a sequence of them
        The student's answer.
    expected : the same
        The right answer, computed from the student's own data in another way.
    within : float
        How far a number may be off: this share of the expected one, or of one if that is smaller.
    slips : mapping, optional
        Sentence that explains a common mistake, to the wrong answer that it gives.
    hint : str
        Said after any other wrong number.

    Raises
    ------
    CheckError
        If the answer is missing, of another kind, or not within the tolerance.

    Examples
    --------
    >>> check("mean", 2.0, 2.0)
    Right: mean.
    >>> check("mean", 2.5, 2.0, slips={"Divide by the number of values.": 2.5})
    Traceback (most recent call last):
    segkit.course.checking.CheckError: mean is 2.5. Divide by the number of values.
    >>> check("mean", ..., 2.0)
    Traceback (most recent call last):
    segkit.course.checking.CheckError: mean is still open: put your answer in the place of the ...
    """
    if answer is OPEN:
        raise CheckError(f"{name} is still open: put your answer in the place of the dots (...).")
    answer, expected = _plain(answer), _plain(expected)
    _check_kind(name, answer, expected)
    if _same(answer, expected, within):
        print(f"Right: {name}.")  # noqa: T201 - said to the student, in the notebook
        return
    for sentence, value in (slips or {}).items():
        slip = _plain(value)
        if not _same(slip, expected, within) and _same(answer, slip, within):
            raise CheckError(f"{name} is {_shown(answer)}. {sentence}")
    raise CheckError(" ".join(part for part in (_direction(name, answer, expected), hint) if part))


def _plain(value: Any) -> Any:
    """Take numbers out of numpy and polars: one built-in value, or a list of values."""
    if hasattr(value, "to_list"):
        value = value.to_list()
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    # A subclass may compare as it likes; only what it holds is compared. (bool has none.)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return int.__int__(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_kind(name: str, answer: Any, expected: Any) -> None:
    if isinstance(expected, list):
        if not isinstance(answer, list):
            raise CheckError(f"{name} should be {len(expected)} values; it is {_kind(answer)}.")
        if len(answer) != len(expected):
            raise CheckError(f"{name} should be {len(expected)} values; it has {len(answer)}.")
        for place, (one, other) in enumerate(zip(answer, expected, strict=True), 1):
            _check_kind(f"{name}, value {place},", one, other)
        return
    if _kind(answer) != _kind(expected):
        raise CheckError(f"{name} should be {_kind(expected)}; it is {_kind(answer)}.")
    if isinstance(answer, int | float) and not math.isfinite(answer):
        raise CheckError(f"{name} is {answer}: a division by zero, or a missing value?")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def _same(answer: Any, expected: Any, within: float) -> bool:
    if isinstance(expected, list):
        if not isinstance(answer, list) or len(answer) != len(expected):
            return False
        return all(_same(*pair, within) for pair in zip(answer, expected, strict=True))
    if isinstance(expected, bool) or not isinstance(expected, int | float):
        return bool(answer == expected)
    if not isinstance(answer, int | float):
        return False
    return math.isfinite(expected) and abs(answer - expected) <= within * max(1.0, abs(expected))


def _direction(name: str, answer: Any, expected: Any) -> str:
    """State whether it is too high or too low, without revealing the answer."""
    if isinstance(expected, list):
        pairs = zip(answer, expected, strict=True)
        wrong = [place for place, (one, other) in enumerate(pairs, 1) if not _same(one, other, 0.0)]
        if sorted(map(str, answer)) == sorted(map(str, expected)):
            return f"{name} holds the right values in another order."
        return f"{name} differs in value {', '.join(map(str, wrong[:3]))}."
    if isinstance(expected, bool) or not isinstance(expected, int | float):
        return f"{name} is {_shown(answer)}, which is not it."
    side = "too large" if answer > expected else "too small"
    if answer and math.isclose(answer, -expected, rel_tol=1e-6):
        return f"{name} is {_shown(answer)}: it has the wrong sign."
    if answer and math.isclose(answer, 100 * expected, rel_tol=1e-6):
        return f"{name} is {_shown(answer)}: give a share, not per cent."
    return f"{name} is {_shown(answer)}: that is {side}."


def _shown(value: Any) -> str:
    if isinstance(value, list):
        few = ", ".join(_shown(part) for part in value[:MOST_SHOWN])
        return f"[{few}{', …' if len(value) > MOST_SHOWN else ''}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
