"""Rules: named conditions, and a parser that never executes their text as code."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import polars as pl

from segkit.errors import ColumnError, RuleError, require_choice, unknown
from segkit.rules import conditions
from segkit.rules.conditions import KEYWORDS, Condition, Constant

_TOKEN = re.compile(
    r"""(?P<space>\s+)
  | (?P<list>[(\[]\s*(?:[-+]?\d{1,18}(?:\s*,\s*[-+]?\d{1,18})+
      |'[^']*'(?:\s*,\s*'[^']*')+)\s*[)\]])
  | (?P<date>\d{4}-\d{2}-\d{2}(?![\w.]))
  | (?P<number>[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
  | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
  | (?P<quoted>`[^`]+`)
  | (?P<operator><=|>=|==|!=|<>|<|>|=)
  | (?P<mark>[(),\[\]])
  | (?P<word>[^\W\d]\w*)""",
    re.VERBOSE,
)
_TEXTS = re.compile(r"'([^']*)'")
DEEPEST = 50  # brackets and "not" within one another
MOST_DIGITS = 300
_SPELLING = {"==": "=", "<>": "!="}
_MIRROR = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_CLOSING = {"(": ")", "[": "]"}
KINDS = ("number", "integer", "text", "boolean", "date")


class Token(NamedTuple):
    """A piece of a condition's text: its kind, its spelling and where it begins."""

    kind: str
    text: str
    start: int


def parse_condition(text: str) -> Condition:
    """Read the condition that a text states.

    Columns are compared with constants by ``< <= > >= = != in between is null``, joined by
    ``and``, ``or``, ``not`` and brackets; ``and`` binds tighter than ``or``. Text stands in
    quotes (doubled inside: ``'Land''s End'``), dates as ``2024-01-31``, and a column with
    spaces in backticks. ``1 <= r <= 3`` is read as a range. ``otherwise`` always holds.

    Parameters
    ----------
    text : str
        The condition; it is read, never run.

    Returns
    -------
    Condition

    Raises
    ------
    RuleError
        With the place in the text where it cannot be read.

    Examples
    --------
    >>> parse_condition("recency_days <= 30")
    Comparison(column='recency_days', operator='<=', value=30)
    >>> parse_condition("recency_days <= and views > 3")
    Traceback (most recent call last):
    ...
    segkit.errors.RuleError: expected a number, a 'text' or a date, got 'and' at character 17
      recency_days <= and views > 3
                      ^
    """
    return _Parser(text).whole()


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            quote = text[place] in "'\"`"
            raise place_error(
                text, place, "a quote is never closed" if quote else f"cannot read {text[place]!r}"
            )
        kind = str(match.lastgroup)
        if kind == "word" and match.group().lower() in KEYWORDS:
            kind = "keyword"
        if kind != "space":
            tokens.append(Token(kind, match.group(), place))
        place = match.end()
    return tokens


def place_error(text: str, place: int, problem: str) -> RuleError:
    """Word an error that points at a place in one line of text."""
    line = text.replace("\n", " ").replace("\t", " ")
    return RuleError(f"{problem} at character {place + 1}\n  {line}\n  {' ' * place}^")


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.next = 0
        self.depth = 0

    def whole(self) -> Condition:
        if not self.tokens:
            raise RuleError("the condition is empty; write 'otherwise' for a rule without one")
        condition = self.either()
        if self.next < len(self.tokens):
            raise self.expected("'and', 'or' or the end")
        return condition

    def either(self) -> Condition:
        return self.joined("or", self.every, conditions.Either)

    def every(self) -> Condition:
        return self.joined("and", self.negation, conditions.All)

    def joined(
        self,
        word: str,
        part: Callable[[], Condition],
        kind: Callable[[tuple[Condition, ...]], Condition],
    ) -> Condition:
        parts = [part()]
        while self.take_word(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def negation(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            raise place_error(
                self.text,
                self.tokens[min(self.next, len(self.tokens) - 1)].start,
                f"brackets and 'not' are nested more than {DEEPEST} deep",
            )
        condition = self.unnested()
        self.depth -= 1
        return condition

    def unnested(self) -> Condition:
        if self.take_word("not"):
            return conditions.Negation(self.negation())
        if self.take("mark", "("):
            inner = self.either()
            if not self.take("mark", ")"):
                raise self.expected("')'")
            return inner
        if self.take_word("otherwise"):
            return conditions.All(())
        return self.atom()

    def atom(self) -> Condition:
        if self.peek_constant():
            return self.reversed_comparison()
        column = self.column()
        if operator := self.take("operator"):
            if self.peek("word") or self.peek("quoted"):
                raise self.expected("a constant (a column is compared with constants only)")
            return conditions.Comparison(
                column, _SPELLING.get(operator.text, operator.text), self.constant()
            )
        if self.take_word("is"):
            negated = self.take_word("not")
            if not self.take_word("null"):
                raise self.expected("'null'")
            return conditions.IsNull(column, negated)
        negated = self.take_word("not")
        if self.take_word("in"):
            return conditions.Membership(column, self.items(), negated)
        if self.take_word("between"):
            return self.range_of(column, negated)
        raise self.expected("a comparison (< <= > >= = != in between is null)")

    def reversed_comparison(self) -> Condition:
        left, first = self.constant(), self.operator()
        column = self.column()
        lower = conditions.Comparison(column, _MIRROR[first], left)
        if self.peek("operator") is None:
            return lower
        return conditions.All(
            (lower, conditions.Comparison(column, self.operator(), self.constant()))
        )

    def operator(self) -> str:
        token = self.take("operator")
        if token is None:
            raise self.expected("a comparison sign")
        return _SPELLING.get(token.text, token.text)

    def range_of(self, column: str, negated: bool) -> Condition:
        start = self.next
        low = self.constant()
        if not self.take_word("and"):
            raise self.expected("'and'")
        high = self.constant()
        numbers = isinstance(low, int | float) and isinstance(high, int | float)
        dates = isinstance(low, date) and isinstance(high, date)
        if not (numbers or dates) or low > high:  # type: ignore[operator]
            raise place_error(
                self.text,
                self.tokens[start].start,
                "a range goes from a smaller number or date to a larger one",
            )
        return conditions.Between(column, low, high, negated)

    def items(self) -> tuple[Constant, ...]:
        # A plain list of whole numbers or texts is one token: reading it is fast.
        if (whole := self.take("list")) and whole.text[-1] == _CLOSING[whole.text[0]]:
            inner = whole.text[1:-1]
            entries = _TEXTS.findall(inner) if "'" in inner else map(int, inner.split(","))
            return tuple(dict.fromkeys(entries))
        if whole:
            raise place_error(self.text, whole.start, f"expected {_CLOSING[whole.text[0]]!r}")
        opening = self.take("mark", "(") or self.take("mark", "[")
        if opening is None:
            raise self.expected("a list in brackets")
        values = [self.constant()]
        while self.tokens[self.next : self.next + 1] and self.tokens[self.next].text == ",":
            self.next += 1
            values.append(self.constant())
        if not self.take("mark", _CLOSING[opening.text]):
            raise self.expected(f"',' or {_CLOSING[opening.text]!r}")
        return tuple(dict.fromkeys(values))

    def column(self) -> str:
        if token := self.take("word"):
            return token.text
        if token := self.take("quoted"):
            return token.text[1:-1]
        raise self.expected("a column")

    def peek_constant(self) -> bool:
        return any(self.peek(kind) for kind in ("number", "text", "date"))

    def constant(self) -> Constant:
        if token := self.take("number"):
            return self.number(token)
        if token := self.take("text"):
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token := self.take("date"):
            try:
                return date.fromisoformat(token.text)
            except ValueError:
                raise place_error(
                    self.text, token.start, f"{token.text} is no day of the calendar"
                ) from None
        if self.take_word("true"):
            return True
        if self.take_word("false"):
            return False
        if self.peek("keyword", "null"):
            raise self.expected("a constant (a null is asked for with 'is null')")
        raise self.expected("a number, a 'text' or a date")

    def number(self, token: Token) -> int | float:
        digits = token.text.replace("_", "")
        if len(digits) <= MOST_DIGITS:
            value = int(digits) if digits.lstrip("+-").isdecimal() else float(digits)
            if math.isfinite(value):
                return value if abs(value) < 2**63 else float(value)
        short = token.text if len(digits) <= 20 else f"of {len(digits):,} figures"
        raise place_error(self.text, token.start, f"the number {short} is too large")

    def peek(self, kind: str, text: str | None = None) -> Token | None:
        if self.next >= len(self.tokens):
            return None
        token = self.tokens[self.next]
        return token if token.kind == kind and text in (None, token.text.lower()) else None

    def take(self, kind: str, text: str | None = None) -> Token | None:
        token = self.peek(kind, text)
        if token is not None:
            self.next += 1
        return token

    def take_word(self, word: str) -> bool:
        return self.take("keyword", word) is not None

    def expected(self, what: str) -> RuleError:
        if self.next < len(self.tokens):
            token = self.tokens[self.next]
            return place_error(self.text, token.start, f"expected {what}, got {token.text!r}")
        return place_error(self.text, len(self.text), f"expected {what}, got the end of the text")


def find_missing_columns(text: str, available: Iterable[str]) -> list[str]:
    """Name the columns of a condition that a frame does not have.

    Parameters
    ----------
    text : str
        A condition.
    available : iterable of str
        The frame's columns.

    Returns
    -------
    list of str
        Empty where the condition can be applied.

    Raises
    ------
    RuleError
        If the condition cannot be read.

    Examples
    --------
    >>> find_missing_columns("recency_days < 31 and visits > 2", ["recency_days"])
    ['visits']
    """
    have = set(available)
    return [name for name in conditions.columns(parse_condition(text)) if name not in have]


@dataclass(frozen=True, slots=True)
class Domain:
    """Possible values of a column; a partition must cover these values only.

    Attributes
    ----------
    kind : {"number", "integer", "text", "boolean", "date"}
        Inferred from the constants (or the frame) where no domain is declared.
    low, high : float or None
        Smallest and largest possible value of a number or an integer; None for no bound.
    values : tuple of str or None
        All texts that can occur; None where any can.
    nullable : bool
        Whether the value may be missing; a partition must then cover the null too.
    """

    kind: str = "number"
    low: float | None = None
    high: float | None = None
    values: tuple[Constant, ...] | None = None
    nullable: bool = True

    def __post_init__(self) -> None:
        require_choice("kind of column", self.kind, KINDS, RuleError)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise RuleError(f"a column cannot run from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A name given to the customers that meet a condition.

    Attributes
    ----------
    name : str
        The segment's name.
    condition : Condition
        May be given as text, which `parse_condition` reads.
    priority : int
        Smaller goes first where several rules may match; equal ones go in the table's order.

    Examples
    --------
    >>> Rule("Recent", "recency_days <= 30").condition
    Comparison(column='recency_days', operator='<=', value=30)
    """

    name: str
    condition: Condition
    priority: int = 0

    def __init__(self, name: str, condition: Condition | str, priority: int = 0) -> None:
        if not isinstance(name, str) or not name.strip():
            raise RuleError(f"a rule needs a name of text; got {name!r}")
        if isinstance(condition, str):
            try:
                condition = parse_condition(condition)
            except RuleError as error:
                raise RuleError(f"rule {name!r}: {error}") from None
        if not isinstance(condition, Condition):
            raise RuleError(
                f"rule {name!r}: expected a condition as text, such as 'recency_days <= 30'; got "
                f"{condition!r}"
            )
        object.__setattr__(self, "name", name.strip())
        object.__setattr__(self, "condition", condition)
        object.__setattr__(self, "priority", int(priority))

    @property
    def text(self) -> str:
        """The rule as one line: ``name: condition``."""
        return f"{self.name}: {conditions.write(self.condition)}"


def prepare(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Select the columns that the rules read, once their types are known to fit."""
    selected: dict[str, pl.Expr] = {}
    for rule in rules:
        for atom in conditions.atoms(rule.condition):
            if atom.column not in frame.columns:
                message = unknown("column", atom.column, frame.columns)
                raise ColumnError(f"rule {rule.name!r}: {message}")
            kind = frame.schema[atom.column]
            for value in {type(value): value for value in conditions.constants(atom)}.values():
                if not _fits(value, kind):
                    raise ColumnError(
                        f"rule {rule.name!r}: column {atom.column} holds {kind}, which cannot be "
                        f"compared with {value!r}"
                    )
            text = kind in (pl.Categorical, pl.Enum)
            selected[atom.column] = pl.col(atom.column).cast(pl.String if text else kind)
    ready = frame.select(**selected) if selected else frame
    for name in selected:
        if ready.schema[name].is_float() and (bad := int(ready[name].is_nan().sum())):
            raise ColumnError(f"column {name} holds {bad:,} NaN; set them to null first")
    return ready


def _fits(value: Constant, kind: pl.DataType) -> bool:
    if isinstance(value, bool):
        return kind == pl.Boolean
    if isinstance(value, int | float):
        return kind.is_numeric()
    if isinstance(value, str):
        return kind in (pl.String, pl.Categorical, pl.Enum)
    return kind == pl.Date
