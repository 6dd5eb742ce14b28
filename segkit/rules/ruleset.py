"""A table of rules as data: read, written, applied to a frame and printed as SQL."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

import polars as pl

from segkit.display import counted
from segkit.errors import RuleError, require_choice, unknown
from segkit.frames import takes_frames
from segkit.rules.check import RuleCheck, check_rules
from segkit.rules.conditions import (
    All,
    Condition,
    columns,
    expression,
    quote_name,
    quote_text,
    write,
    write_sql,
)
from segkit.rules.rule import Domain, Rule, prepare
from segkit.writing import write_whole

Policy = Literal["partition", "first", "many"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A table of rules that says which segment each customer belongs to.

    Nulls follow SQL: a comparison with a null is unknown, so is its negation, and an unknown
    condition selects nobody; ask for ``is null`` to catch them. NaN is refused, not compared.

    Attributes
    ----------
    rules : tuple of Rule
        In the table's order.
    policy : {"partition", "first", "many"}
        ``"partition"``: exactly one rule must match each customer, `check` proves it;
        ``"first"``: the first match by priority wins; ``"many"``: rules may overlap
        (micro-segments), use `matches`.
    domains : mapping of str to Domain
        What the columns can hold, where it is known.

    Examples
    --------
    >>> import polars as pl
    >>> rules = RuleSet.parse('''
    ... Active:  recency_days <= 30
    ... Lapsing: recency_days > 30 and recency_days <= 365
    ... Gone:    recency_days > 365 or recency_days is null
    ... ''')
    >>> rules.check().ok
    True
    >>> rules.apply(pl.DataFrame({"recency_days": [3, 400, None]}))["segment"].to_list()
    ['Active', 'Gone', 'Gone']
    """

    rules: tuple[Rule, ...]
    policy: Policy = "partition"
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rules:
            raise RuleError("a rule set needs at least one rule")
        require_choice("policy", self.policy, POLICIES, RuleError)
        names = [rule.name for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise RuleError(f"named twice: {', '.join(twice)}; join the conditions with 'or'")
        if self.policy == "partition" and any(_is_always(rule.condition) for rule in self.rules):
            raise RuleError("'otherwise' needs the policy 'first': it overlaps every other rule")
        object.__setattr__(self, "rules", tuple(self.rules))

    @classmethod
    def parse(
        cls, text: str, *, policy: Policy = "partition", domains: Mapping[str, Domain] | None = None
    ) -> Self:
        """Read one rule per line, ``name: condition``; blank lines and ``# comments`` are left out.

        Raises
        ------
        RuleError
            With the line's number and the place in it.
        """
        if not isinstance(text, str):
            raise RuleError(
                f"expected text with one rule per line, name: condition; got {type(text).__name__}"
            )
        rules = []
        for index, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, colon, condition = line.partition(":")
            if not colon:
                raise RuleError(f"line {index}: expected 'name: condition', got {line.strip()!r}")
            try:
                rules.append(Rule(name, condition.strip()))
            except RuleError as error:
                raise RuleError(f"line {index}, {error}") from None
        return cls(tuple(rules), policy, dict(domains or {}))

    @classmethod
    def take(cls, rules: RuleSet | Mapping[str, str]) -> RuleSet:
        """Return a rule set unchanged, or make one with overlapping rules from named conditions.

        Raises
        ------
        RuleError
            If it is neither, or a condition cannot be read.

        Examples
        --------
        >>> RuleSet.take({"Recent": "recency_days <= 30"}).names
        ('Recent',)
        """
        if isinstance(rules, RuleSet):
            return rules
        if not isinstance(rules, Mapping):
            raise RuleError(
                "expected a RuleSet or conditions by name, such as {'Recent': 'recency_days <= "
                f"30'}}; got {type(rules).__name__}"
            )
        return cls(tuple(Rule(name, text) for name, text in rules.items()), policy="many")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the shape that `to_dict` writes (the same as the TOML file's).

        Raises
        ------
        RuleError
            If a key is unknown or missing.
        """
        _check_keys(data, ("policy", "rules", "columns"), "key of a rule set")
        rules = []
        for entry in data.get("rules", ()):
            _check_keys(entry, ("name", "condition", "priority"), "key of a rule")
            if not {"name", "condition"} <= set(entry):
                raise RuleError(f"a rule needs a name and a condition, got {dict(entry)}")
            rules.append(Rule(**entry))
        domains = {}
        for column, entry in dict(data.get("columns", {})).items():
            _check_keys(entry, [item.name for item in fields(Domain)], f"key of column {column}")
            values = entry.get("values")
            extra = {"values": tuple(values)} if values is not None else {}
            domains[column] = Domain(**{**entry, **extra})
        return cls(tuple(rules), data.get("policy", "partition"), domains)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON- and TOML-ready data; conditions are written as text."""
        rules = [
            {"name": rule.name, "condition": write(rule.condition)}
            | ({"priority": rule.priority} if rule.priority else {})
            for rule in self.rules
        ]
        domains = {
            column: {
                item.name: list(value) if isinstance(value, tuple) else value
                for item in fields(Domain)
                if (value := getattr(domain, item.name)) is not None
            }
            for column, domain in self.domains.items()
        }
        return {"policy": self.policy, "rules": rules, "columns": domains}

    def to_toml(self) -> str:
        """Write the rule set as TOML."""
        data = self.to_dict()
        lines = [f"policy = {_toml(data['policy'])}"]
        for rule in data["rules"]:
            lines += ["", "[[rules]]", *(f"{key} = {_toml(value)}" for key, value in rule.items())]
        for column, domain in data["columns"].items():
            lines += ["", f"[columns.{_toml(column)}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in domain.items()]
        return "\n".join(lines) + "\n"

    def save(self, path: Path | str) -> Path:
        """Write the rule set to a ``.toml`` or ``.json`` file and return its path."""
        target = Path(path)
        text = self.to_toml() if target.suffix == ".toml" else json.dumps(self.to_dict(), indent=2)
        return write_whole(target, text)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a rule set from a ``.toml``, ``.json`` or plain text file.

        Raises
        ------
        RuleError
            If the file is absent or cannot be read.
        """
        source = Path(path)
        if not source.is_file():
            raise RuleError(f"no rule file {source}")
        try:
            text = source.read_text(encoding="utf-8")
            if source.suffix == ".toml":
                return cls.from_dict(tomllib.loads(text))
            if source.suffix == ".json":
                return cls.from_dict(json.loads(text))
        except RuleError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise RuleError(f"{source.name} cannot be read: {error}") from None
        return cls.parse(text)

    @property
    def names(self) -> tuple[str, ...]:
        """The segments' names in the table's order."""
        return tuple(rule.name for rule in self.rules)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rules read, each once."""
        names = [name for rule in self.rules for name in columns(rule.condition)]
        return tuple(dict.fromkeys(names))

    @property
    def by_priority(self) -> tuple[Rule, ...]:
        """The rules, smallest priority first."""
        return tuple(sorted(self.rules, key=lambda rule: rule.priority))

    @property
    def text(self) -> str:
        """The rule set as text that `parse` reads back (without policy and domains)."""
        return "\n".join(rule.text for rule in self.rules)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per rule: segment, condition (in words that `parse` reads), priority."""
        return pl.DataFrame(
            [(rule.name, write(rule.condition), rule.priority) for rule in self.rules],
            schema={"segment": pl.String, "condition": pl.String, "priority": pl.Int64},
            orient="row",
        )

    @takes_frames
    def matches(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return one Boolean column per rule, rows as in ``frame``; unknown counts as false.

        Raises
        ------
        ColumnError
            If a column is missing, or its type does not fit the constants.
        """
        ready = prepare(frame, self.rules)
        exprs = [
            expression(rule.condition).fill_null(value=False).alias(rule.name)
            for rule in self.rules
        ]
        return ready.with_columns(exprs).select(self.names)

    @takes_frames
    def apply(self, frame: pl.DataFrame, *, column: str = "segment") -> pl.DataFrame:
        """Add the name of each customer's segment; null where no rule matches.

        Parameters
        ----------
        frame : polars.DataFrame
            Holds the columns that the rules read.
        column : str
            Name of the added column.

        Raises
        ------
        RuleError
            If the policy is ``"many"``, or ``"partition"`` and a row is matched twice.
        ColumnError
            If a column is missing, or its type does not fit the constants.
        """
        if self.policy == "many":
            raise RuleError("rules that may overlap give no single segment; use matches(frame)")
        matched = self.matches(frame)
        if self.policy == "partition":
            self._refuse_overlaps(frame, matched)
        # Polars takes the first branch that is true, so the highest priority is written first.
        names = [
            pl.when(pl.col(rule.name)).then(pl.lit(rule.name)).otherwise(None)
            for rule in self.by_priority
        ]
        return frame.with_columns(matched.select(pl.coalesce(names)).to_series().alias(column))

    def _refuse_overlaps(self, frame: pl.DataFrame, matches: pl.DataFrame) -> None:
        twice = matches.select(pl.sum_horizontal(pl.all().cast(pl.Int32))).to_series() > 1
        if twice.any():
            place = int(twice.arg_max() or 0)
            names = [name for name in self.names if matches[name][place]]
            example = frame.select(self.columns).row(place, named=True)
            raise RuleError(
                f"{counted(int(twice.sum()), 'row is', 'rows are')} matched by several rules, such "
                f"as {example} by {', '.join(names)}; mend the rules or set policy='first'"
            )

    @takes_frames
    def check(self, frame: pl.DataFrame | None = None) -> RuleCheck:
        """Check whether the rules cover every possible customer, and none twice.

        Every column is cut at the constants that the rules compare it with, and the rules are
        tried at one point of each cell: this proves the answer for all customers, seen or unseen.

        Parameters
        ----------
        frame : polars.DataFrame, optional
            Customers to be counted in each gap and overlap. Where no domain is declared, the column
            types also decide whether values are whole numbers.

        Raises
        ------
        RuleError
            If a column is compared with constants of several kinds, a text by order, or the
            columns are cut into more than 4 million cells.
        ColumnError
            If the frame lacks a column or holds it in another type.

        Examples
        --------
        >>> rules = RuleSet.parse('''
        ... Active: recency_days < 30
        ... Gone: recency_days > 30
        ... ''', domains={"recency_days": Domain("integer", low=0, nullable=False)})
        >>> rules.check().gaps["where"].to_list()
        ['recency_days = 30']
        """
        return check_rules(self.rules, self.policy, self.domains, frame)

    def to_sql(self, table: str = "customers", *, column: str = "segment") -> str:
        """Return the rules as one SQL query with ``CASE WHEN``, in order of priority.

        Examples
        --------
        >>> print(RuleSet((Rule("Recent", "recency_days <= 30"),)).to_sql())
        SELECT *,
          CASE
            WHEN "recency_days" <= 30 THEN 'Recent'
          END AS "segment"
        FROM "customers"
        """
        inner = self.sql_column(column).replace("\n", "\n  ")
        return f"SELECT *,\n  {inner}\nFROM {quote_name(table)}"

    def sql_column(self, column: str = "segment") -> str:
        """Return the rules as ``SELECT`` columns: the segment, or one Boolean per rule ("many").

        Examples
        --------
        >>> print(RuleSet.take({"Recent": "recency_days <= 30"}).sql_column())
        COALESCE("recency_days" <= 30, FALSE) AS "Recent"
        """
        if self.policy == "many":
            return ",\n".join(
                f"COALESCE({write_sql(rule.condition)}, FALSE) AS {quote_name(rule.name)}"
                for rule in self.rules
            )
        cases = "\n".join(
            f"  WHEN {write_sql(rule.condition)} THEN {quote_text(rule.name)}"
            for rule in self.by_priority
        )
        return f"CASE\n{cases}\nEND AS {quote_name(column)}"

    def where(self, name: str) -> str:
        """Return one rule's condition as the predicate of a SQL ``WHERE``.

        Raises
        ------
        RuleError
            If no rule has this name.
        """
        for rule in self.rules:
            if rule.name == name:
                return write_sql(rule.condition)
        raise RuleError(unknown("rule", name, self.names))


def _is_always(condition: Condition) -> bool:
    return isinstance(condition, All) and not condition.parts


def _check_keys(data: Any, names: Sequence[str], kind: str) -> None:
    if not isinstance(data, Mapping):
        raise RuleError(f"expected a table of keys, got {data!r}")
    for key in data:
        require_choice(kind, key, names, RuleError)


def _toml(value: Any) -> str:
    # JSON's spelling of these types is also TOML's, but for the delete character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
