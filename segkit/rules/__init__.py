"""Rules as data: of segments (checked to be a partition, printed as SQL) and of contacts."""

from segkit.rules.check import RuleCheck
from segkit.rules.conditions import (
    All,
    Between,
    Comparison,
    Condition,
    Either,
    IsNull,
    Membership,
    Negation,
)
from segkit.rules.contact import Cap, ContactPolicy, QuietTime
from segkit.rules.rule import Domain, Rule, find_missing_columns, parse_condition
from segkit.rules.ruleset import RuleSet

__all__ = [
    "All",
    "Between",
    "Cap",
    "Comparison",
    "Condition",
    "ContactPolicy",
    "Domain",
    "Either",
    "IsNull",
    "Membership",
    "Negation",
    "QuietTime",
    "Rule",
    "RuleCheck",
    "RuleSet",
    "find_missing_columns",
    "parse_condition",
]
