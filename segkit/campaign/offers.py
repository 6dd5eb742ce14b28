"""Offer rules as data: IF segment AND condition THEN offer, with priority and cap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.eligibility import check_customers
from segkit.display import counted, number, percent
from segkit.errors import RuleError
from segkit.frames import takes_frames
from segkit.result import Result
from segkit.rules import Domain, Rule, RuleCheck, RuleSet
from segkit.rules.conditions import write
from segkit.stats.hashing import unit_hash

_LINE = re.compile(
    r"^\s*IF\s+(?P<condition>.+?)\s+THEN\s+(?P<offer>[\w .-]+?)"
    r"(?:\s+PRIORITY\s+(?P<priority>-?\d+))?(?:\s+CAP\s+(?P<cap>[\d_]+))?\s*$",
    re.IGNORECASE,
)


_KEYWORD = re.compile(r"\b(PRIORITY|CAP)\b", re.IGNORECASE)  # left over from a malformed number


@dataclass(frozen=True, slots=True)
class TargetRule:
    """Rule that gives customers who meet a condition an offer.

    Attributes
    ----------
    offer : str
    rule : Rule
        Its name, condition and priority (smaller goes first).
    cap : int or None
        Most customers that this rule may give the offer.
    """

    offer: str
    rule: Rule
    cap: int | None = None

    def __post_init__(self) -> None:
        if not self.offer.strip():
            raise RuleError(f"rule {self.rule.name!r} has no offer")
        if self.cap is not None and self.cap < 0:
            raise RuleError(f"rule {self.rule.name!r}: the cap must be at least 0, got {self.cap}")

    @property
    def text(self) -> str:
        """The rule as the line that `OfferRules.parse` reads."""
        cap = f" CAP {self.cap}" if self.cap is not None else ""
        condition = write(self.rule.condition)
        return f"IF {condition} THEN {self.offer} PRIORITY {self.rule.priority}{cap}"


@dataclass(frozen=True, slots=True)
class OfferRules:
    """Table of rules that gives customers their offers.

    The rule of the smallest priority that a customer meets decides; rules of one priority go in
    the table's order. If a rule's cap is reached, each remaining customer gets the offer of the
    next matching rule, or none.

    Attributes
    ----------
    rules : tuple of TargetRule
    domains : mapping of str to Domain
        What the columns can hold, for the check over all possible customers.

    Examples
    --------
    >>> table = OfferRules.parse('''
    ... IF segment = 'S1' AND recency_days > 90 THEN reengagement PRIORITY 1 CAP 1
    ... IF segment in ('S1', 'S2') THEN generic PRIORITY 2
    ... ''')
    >>> people = pl.DataFrame({"customer_id": ["a", "b", "c"], "segment": ["S1", "S1", "S3"],
    ...                        "recency_days": [100, 200, 5]})
    >>> sorted(table.apply(people).frame["offer"].to_list())
    ['generic', 'none', 'reengagement']
    """

    rules: tuple[TargetRule, ...]
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rules:
            raise RuleError("a table of offers needs at least one rule")
        object.__setattr__(self, "rules", tuple(self.rules))
        names = [one.rule.name for one in self.rules]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise RuleError(f"rules named twice: {', '.join(repeated)}")

    @classmethod
    def parse(cls, text: str, *, domains: Mapping[str, Domain] | None = None) -> Self:
        """Read one rule per line: ``IF condition THEN offer [PRIORITY n] [CAP n]``.

        Conditions are those of `segkit.rules`; a rule without a priority has 0. Blank lines and
        ``# comments`` are left out.

        Raises
        ------
        RuleError
            With the line's number.
        """
        rules: list[TargetRule] = []
        for place, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.match(line)
            if match is None or _KEYWORD.search(match["offer"]):
                raise RuleError(
                    f"line {place}: expected 'IF condition THEN offer [PRIORITY n] [CAP n]', got "
                    f"{line.strip()!r}"
                )
            name = f"rule {len(rules) + 1}"
            try:
                rule = Rule(name, match["condition"], int(match["priority"] or 0))
            except RuleError as error:
                raise RuleError(f"line {place}, {error}") from None
            cap = int(match["cap"].replace("_", "")) if match["cap"] else None
            rules.append(TargetRule(match["offer"].strip(), rule, cap))
        return cls(tuple(rules), dict(domains or {}))

    @classmethod
    def of_policy(cls, policy: Mapping[str, str], *, written: Sequence[str] = ()) -> Self:
        """Make one rule per segment from segment to offer; ``written`` rules replace them all."""
        if written:
            return cls.parse("\n".join(written))
        rules = []
        for segment, offer in policy.items():
            quoted = str(segment).replace("'", "''")
            rules.append(TargetRule(offer, Rule(f"{segment}", f"segment = '{quoted}'")))
        return cls(tuple(rules))

    @property
    def text(self) -> str:
        """The table as text that `parse` reads back."""
        return "\n".join(one.text for one in self.rules)

    @property
    def offers(self) -> tuple[str, ...]:
        """The offers, each once, in the table's order."""
        return tuple(dict.fromkeys(one.offer for one in self.rules))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {"rules": [one.text for one in self.rules]}

    def to_frame(self) -> pl.DataFrame:
        """Return one row per rule: rule, condition, offer, priority, cap."""
        rows = [
            (one.rule.name, write(one.rule.condition), one.offer, one.rule.priority, one.cap)
            for one in self.rules
        ]
        schema = {
            **dict.fromkeys(("rule", "condition", "offer"), pl.String),
            **dict.fromkeys(("priority", "cap"), pl.Int64),
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def prove(self) -> RuleCheck:
        """Find possible customers who meet no rule or several, over all values of the columns."""
        rules = tuple(one.rule for one in self.rules)
        return RuleSet(rules, "first", dict(self.domains)).check()

    @takes_frames
    def apply(
        self,
        customers: pl.DataFrame,
        *,
        seed: int = 0,
    ) -> Offered:
        """Apply the rules: each customer's offer, and who has none.

        Parameters
        ----------
        customers : DataFrame
            customer_id and the columns that the rules read.
        seed : int

        Returns
        -------
        Offered

        Raises
        ------
        ColumnError, DataError, ParameterError
            If a column is missing, a customer comes twice, or a rule's offer is unknown.
        """
        check_customers(customers)
        names = [one.rule.name for one in self.rules]
        matches = RuleSet(tuple(one.rule for one in self.rules), "many").matches(customers)
        met = matches.select(names).to_numpy()
        order = unit_hash(customers.get_column("customer_id"), seed, "cap").argsort(kind="stable")
        chosen = np.full(customers.height, -1, dtype=np.int64)
        beyond = np.zeros(len(names), dtype=np.int64)
        for k in sorted(range(len(names)), key=lambda k: self.rules[k].rule.priority):
            want = order[(met[:, k] & (chosen == -1))[order]]
            cap = self.rules[k].cap
            beyond[k] = 0 if cap is None else max(0, len(want) - cap)
            chosen[want[:cap]] = k
        given = [None if k < 0 else self.rules[k] for k in chosen]
        frame = pl.DataFrame(
            {
                "customer_id": customers.get_column("customer_id"),
                "offer": [NO_OFFER if one is None else one.offer for one in given],
                "rule": [None if one is None else one.rule.name for one in given],
            },
            schema_overrides={"rule": pl.String},
        )
        counts = self.to_frame().select(
            "rule",
            "offer",
            met=pl.Series(met.sum(axis=0), dtype=pl.Int64),
            given=pl.Series([(chosen == k).sum() for k in range(len(names))], dtype=pl.Int64),
            beyond_cap=pl.Series(beyond),
            condition="condition",
        )
        # Each customer's rules by offer: several offers need the priority.
        kinds = [
            met[:, [one.offer == name for one in self.rules]].any(axis=1) for name in self.offers
        ]
        overlap = int((np.sum(kinds, axis=0) > 1).sum())
        return Offered(frame, counts, overlap, int((~met.any(axis=1)).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Offered(Result):
    """Offer per customer by the rules, and the customers without one.

    Attributes
    ----------
    frame : polars.DataFrame
        customer_id, offer ("none" without one), rule (null without one).
    counts : polars.DataFrame
        rule, offer, met (customers that meet it), given, beyond_cap, condition.
    overlap : int
        Customers that meet rules of different offers: priority decides.
    unmatched : int
        Customers that meet no rule.
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    overlap: int
    unmatched: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts by rule."""
        return self.counts

    @property
    def customers_without_offer(self) -> int:
        """Customers without an offer: no rule met, or every cap reached."""
        return int((self.frame.get_column("offer") == NO_OFFER).sum())

    @property
    def text(self) -> str:
        """The finding in words."""
        n = self.frame.height
        given = n - self.customers_without_offer
        reach = f"{number(given)} of {counted(n, 'customer')} ({percent(given / n)})"
        parts = [f"{reach} get an offer by the rules, if they may be contacted."]
        if self.unmatched:
            parts.append(f"{number(self.unmatched)} meet no rule.")
        beyond = self.customers_without_offer - self.unmatched
        if beyond > 0:
            parts.append(f"{number(beyond)} are left without one by the caps, or by a rule.")
        if self.overlap:
            parts.append(
                f"{number(self.overlap)} meet rules of different offers: the priority decides."
            )
        never = self.counts.filter(pl.col("met") == 0).get_column("condition").to_list()
        if never:
            parts.append(f"Met by nobody: {'; '.join(never)}.")
        return " ".join(parts)
