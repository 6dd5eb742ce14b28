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
    found, wanted = _plain(answer), _plain(expected)
    _check_kind(name, found, wanted)
    if _same(found, wanted, within):
        print(f"Right: {name}.")  # noqa: T201 - said to the student, in the notebook
        return
    for sentence, value in (slips or {}).items():
        slip = _plain(value)
        if not _same(slip, wanted, within) and _same(found, slip, within):
            raise CheckError(f"{name} is {_shown(found)}. {sentence}")
    raise CheckError(" ".join(part for part in (_how_far(name, found, wanted), hint) if part))


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


def _check_kind(name: str, found: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        if not isinstance(found, list):
            raise CheckError(f"{name} should be {len(wanted)} values; it is {_kind(found)}.")
        if len(found) != len(wanted):
            raise CheckError(f"{name} should be {len(wanted)} values; it has {len(found)}.")
        for place, (one, other) in enumerate(zip(found, wanted, strict=True), 1):
            _check_kind(f"{name}, value {place},", one, other)
        return
    if _kind(found) != _kind(wanted):
        raise CheckError(f"{name} should be {_kind(wanted)}; it is {_kind(found)}.")
    if isinstance(found, int | float) and not math.isfinite(found):
        raise CheckError(f"{name} is {found}: a division by zero, or a missing value?")


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


def _same(found: Any, wanted: Any, within: float) -> bool:
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        return all(_same(*pair, within) for pair in zip(found, wanted, strict=True))
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return bool(found == wanted)
    if not isinstance(found, int | float):
        return False
    return math.isfinite(wanted) and abs(found - wanted) <= within * max(1.0, abs(wanted))


def _how_far(name: str, found: Any, wanted: Any) -> str:
    """State whether it is too high or too low, without revealing the answer."""
    if isinstance(wanted, list):
        pairs = zip(found, wanted, strict=True)
        wrong = [place for place, (one, other) in enumerate(pairs, 1) if not _same(one, other, 0.0)]
        if sorted(map(str, found)) == sorted(map(str, wanted)):
            return f"{name} holds the right values in another order."
        return f"{name} differs in value {', '.join(map(str, wrong[:3]))}."
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return f"{name} is {_shown(found)}, which is not it."
    side = "too large" if found > wanted else "too small"
    if found and math.isclose(found, -wanted, rel_tol=1e-6):
        return f"{name} is {_shown(found)}: it has the wrong sign."
    if found and math.isclose(found, 100 * wanted, rel_tol=1e-6):
        return f"{name} is {_shown(found)}: give a share, not per cent."
    return f"{name} is {_shown(found)}: that is {side}."


def _shown(value: Any) -> str:
    if isinstance(value, list):
        few = ", ".join(_shown(part) for part in value[:MOST_SHOWN])
        return f"[{few}{', …' if len(value) > MOST_SHOWN else ''}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
