"""Rules as data: parsed from text, checked to be a partition, applied to frames, printed as SQL."""

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
from segkit.rules.rule import Domain, Rule, find_missing_columns, parse_condition
from segkit.rules.ruleset import RuleSet

__all__ = [
    "All",
    "Between",
    "Comparison",
    "Condition",
    "Domain",
    "Either",
    "IsNull",
    "Membership",
    "Negation",
    "Rule",
    "RuleCheck",
    "RuleSet",
    "find_missing_columns",
    "parse_condition",
]
