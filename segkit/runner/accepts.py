"""Values that a notebook's parameter accepts, read from the brackets in its comment.

Alternatives stand between bars: ``[easy | medium | hard]``, ``[0 | 2 or more]``,
``[empty | date]``, ``[above 0 and below 1]``. For a list they hold for each of its items.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from segkit.errors import ParameterError, SegkitError

LONGEST_NAME = 150  # bytes; a market's name and a date may follow, and 255 is the usual limit
OWN_DATA = "file"  # the source's name when the data are the user's own
# Known without importing what loads them; a test holds this against `segkit.datasets.LOADERS`.
SOURCES = (
    *("simulated", "online-retail", "cdnow", "rfm-demo", "hillstrom", "fast-food"),
    *("complete-journey", OWN_DATA),
)
# Parameters of the simulated retailer.
SIMULATION = ("seed", "customers", "difficulty", "structure", "lift")
ODD = re.compile(r'[/\\:*?"<>|{}#%]+')
BRACKETS = re.compile(r"\s*\[([^\[\]]*)\]\s*$")
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = re.compile(
    rf"(?P<least>{NUMBER}) or more|(?P<from>{NUMBER}) to (?P<to>{NUMBER})"
    rf"|above (?P<above>{NUMBER})(?: and below (?P<below>{NUMBER}))?"
)
CHOICE = re.compile(r"[A-Za-z][\w-]*")
TOGETHER = re.compile(r"(.*); with (\w+(?: and \w+)*) below (\d+)")


def check_name(name: str) -> str:
    """Return a run's name that can be a folder's.

    Raises
    ------
    ParameterError
        If it is empty or too long, begins with a dot, or holds what a path or a link cannot.
    """
    fits = name.strip() and not name.startswith(".") and len(name.encode()) <= LONGEST_NAME
    if not fits or not name.isprintable() or ODD.search(name):
        raise ParameterError(f"the run's name {name!r} cannot be a folder's; give another --name")
    return name


def plain_name(name: str) -> str:
    """Return a name without the characters that a folder's name cannot hold.

    Examples
    --------
    >>> plain_name('A "shop": #1')
    'A -shop- -1'
    """
    plain = ODD.sub("-", "".join(letter if letter.isprintable() else "-" for letter in name))
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .")


def _is_condition(value: str) -> None:
    from segkit.rules import parse_condition

    parse_condition(value)


def _is_named_condition(value: str) -> None:
    name, colon, condition = value.partition(":")
    if not (name.strip() and colon):
        raise ParameterError("a name and a colon come first")
    _is_condition(condition.strip())


def _is_offer_rule(value: str) -> None:
    from segkit.campaign import OfferRules

    OfferRules.parse(value)


def _is_claim(value: str) -> None:
    from segkit.factor.validation import read_claim

    read_claim(value)


def _is_text(value: str) -> None:
    if not value.strip():
        raise ParameterError("it is empty")


# Word in the brackets: its meaning in words, and the function that checks it.
KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "date": ("a date such as 2024-01-31", date.fromisoformat),
    "path": ("the path of a file or folder", _is_text),
    "name": ("a name that can be a folder's", check_name),
    "text": ("a text", _is_text),
    "condition": ("a condition such as 'frequency > 2 and recency_days < 31'", _is_condition),
    "named-condition": ("a name and a condition, as 'Big: monetary > 500'", _is_named_condition),
    "offer-rule": ("IF condition THEN offer [PRIORITY n] [CAP n]", _is_offer_rule),
    "claim": ("a variable and an item, as 'frequency: loyal_1'", _is_claim),
}
SLOW = {"condition", "named-condition", "offer-rule", "claim"}  # to check: they import polars


@dataclass(frozen=True, slots=True)
class Accepts:
    """Values that a parameter accepts, beyond its type.

    Attributes
    ----------
    alternatives : tuple of str
        As written between the bars.
    together : tuple of (tuple of str, float), or None
        Other parameters, and the limit that the sum of all must stay below.
    """

    alternatives: tuple[str, ...]
    together: tuple[tuple[str, ...], float] | None = None

    @classmethod
    def read(cls, text: str) -> Accepts:
        """Parse the text in the brackets.

        Raises
        ------
        ParameterError
            If an alternative is neither a number, a range, a kind nor a plain word.

        Examples
        --------
        >>> Accepts.read("0 | 2 or more").words
        '0, or 2 or more'
        """
        together = None
        if match := TOGETHER.fullmatch(text):
            text, together = match[1], (tuple(match[2].split(" and ")), float(match[3]))
        parts = tuple(part.strip() for part in text.split("|"))
        for part in parts:
            if not (RANGE.fullmatch(part) or re.fullmatch(NUMBER, part) or CHOICE.fullmatch(part)):
                raise ParameterError(f"cannot read {part!r} in the brackets [{text}]")
        if "source" in parts:
            parts = SOURCES
        return cls(parts, together)

    @property
    def choices(self) -> list[str]:
        """The words among which to choose."""
        return [
            part
            for part in self.alternatives
            if CHOICE.fullmatch(part)
            and part not in KINDS
            and not RANGE.fullmatch(part)
            and part != "empty"
        ]

    @property
    def is_slow(self) -> bool:
        """Whether a check imports slow libraries."""
        return any(part in SLOW for part in self.alternatives)

    @property
    def words(self) -> str:
        """The accepted values, in words."""
        meanings = [KINDS[part][0] if part in KINDS else part for part in self.alternatives]
        if self.choices == list(self.alternatives):
            *first, last = meanings
            text = f"{', '.join(first)} or {last}" if first else last
        else:
            text = ", or ".join(["nothing" if part == "empty" else part for part in meanings])
        if self.together:
            text += f"; with {' and '.join(self.together[0])} below {self.together[1]:g}"
        return text

    def refuse(self, value: Any) -> str | None:
        """Return the reason why a value is not accepted; None where it is."""
        why = []
        for part in self.alternatives:
            reason = _refuse(part, value)
            if reason is None:
                return None
            why.append(reason)
        close = difflib.get_close_matches(str(value).lower(), self.choices, n=1)
        if close:
            return f"did you mean {close[0]!r}?"
        return next((reason for reason in why if reason), "")


def _refuse(part: str, value: Any) -> str | None:
    """Return None where an alternative accepts a value, else the reason (often empty)."""
    if part == "empty":
        return None if value == "" else ""
    if part in KINDS and isinstance(value, str):
        try:
            KINDS[part][1](value)
        except SegkitError as error:
            return str(error)
        except ValueError:
            return ""
        return None
    if isinstance(value, str):
        return None if value == part else ""
    if re.fullmatch(NUMBER, part):
        return None if value == float(part) else ""
    match = RANGE.fullmatch(part)
    if match is None:
        return ""
    least, first, last, above, below = (
        None if match[name] is None else float(match[name])
        for name in ("least", "from", "to", "above", "below")
    )
    fits = (
        (least is None or value >= least)
        and (first is None or last is None or first <= value <= last)
        and (above is None or value > above)
        and (below is None or value < below)
    )
    return None if fits else ""
