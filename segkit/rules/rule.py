"""One rule: a name, a condition, what its columns can hold, and whether a frame's columns fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segkit.errors import ColumnError, RuleError, unknown
from segkit.rules.conditions import (
    Condition,
    Constant,
    atoms,
    constants,
    write,
)
from segkit.rules.parse import parse_condition

if TYPE_CHECKING:
    import polars as pl


KINDS = ("number", "integer", "text", "boolean", "date")


@dataclass(frozen=True, slots=True)
class Domain:
    """What a column can hold; the narrower it is stated, the less a partition must cover.

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
        if self.kind not in KINDS:
            raise RuleError(unknown("kind of column", self.kind, KINDS))
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
        return f"{self.name}: {write(self.condition)}"


def prepare(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Select the columns that the rules read, once their types are known to fit."""
    import polars as pl

    selected: dict[str, pl.Expr] = {}
    for rule in rules:
        for atom in atoms(rule.condition):
            if atom.column not in frame.columns:
                message = unknown("column", atom.column, frame.columns)
                raise ColumnError(f"rule {rule.name!r}: {message}")
            kind = frame.schema[atom.column]
            for value in {type(value): value for value in constants(atom)}.values():
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
    import polars as pl

    if isinstance(value, bool):
        return kind == pl.Boolean
    if isinstance(value, int | float):
        return kind.is_numeric()
    if isinstance(value, str):
        return kind in (pl.String, pl.Categorical, pl.Enum)
    return kind == pl.Date
