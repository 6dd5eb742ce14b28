"""Answers and entries of a mapping file that have no effect beside the others: named in warnings.

Another answer can change the column of a role, and words of the column before say nothing of it.
"""

from __future__ import annotations

from segkit.display import join_words
from segkit.ids import NO_CUSTOMER, is_of_column, read_ids
from segkit.intake.answers import quote_text
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.headers import concepts
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.questions import Finding
from segkit.intake.statuses import spelt, stem

MOST_WORDS = 100  # of a column that an answer's words can be of
# Options that say how a column is read, and the columns without which they say nothing.
_SPEAKS_OF = {
    **dict.fromkeys(("discount_taken", "discount_unit"), "discount"),
    **dict.fromkeys(("refund_of", "refund_is"), "refund"),
    **dict.fromkeys(("order_within", "return_prefix", "state_time"), "order_id"),
    "rate_is": "rate",
}


def about_void(columns: Columns, own: Mapping) -> list[Finding]:
    """Warn of each answer or entry of the mapping file that has no effect beside the others.

    Parameters
    ----------
    columns : Columns
        Raw order lines, with the mapping as completed.
    own : Mapping
        The mapping file with the answers, without what is proposed.
    """
    part = own.tables.get("orders", TableMapping())
    findings = [_warn("", one, "a later answer overrules it", "") for one in own.overruled]
    for option, role in _SPEAKS_OF.items():
        if not columns.has(role) and part.options.get(option) not in (None, "", []):
            what, why = f"[orders] {option}", f"no column is read as {role}"
            findings.append(_warn(role, what, why, f'[orders.columns] {role} = "..."'))
    if "refund" in {*part.columns} & {*part.constants}:
        what = f"[orders.constants] refund = {part.constants['refund']}"
        why = f"refunds are read from {part.columns['refund']!r}"
        findings.append(_warn("refund", what, why, "one of the two"))
    findings += _about_nobody(columns, part)
    for role, meanings in part.values.items():
        words = [str(word) for word in meanings if word not in ("", "*")]
        why = _why_void(columns, role, words) if words else ""
        if why:
            what = f"[orders.values.{role}] {join_words([quote_text(word) for word in words[:4]])}"
            findings.append(_warn(role, what, why, f"[orders.values.{role}] with the words meant"))
    return findings


def _about_nobody(columns: Columns, part: TableMapping) -> list[Finding]:
    """Warn of bare ids of nobody that are none of the customer's column, but of another one's."""
    source, listed = columns.source("customer_id"), part.options.get("no_customer") or ()
    bare = {str(entry).lower() for entry in listed if not is_of_column(entry)}
    if source is None or not bare or bare & {*NO_CUSTOMER} or bare & _ids_of(columns, source):
        return []
    others = [name for name in columns.raw.columns if {"customer", "email"} & concepts(name)[0]]
    holder = next((name for name in others if bare <= _ids_of(columns, name)), None)
    if holder is None:
        return []
    answer = ", ".join(quote_text(f"{holder} = {one}") for one in sorted(bare))
    what, why = "[orders] no_customer", f"its ids stand in {holder!r}, customers in {source!r}"
    return [_warn("customer_id", what, why, f"[orders] no_customer = [{answer}]")]


def _ids_of(columns: Columns, header: str) -> set[str]:
    return {*read_ids(columns.cells(header).unique()).drop_nulls().str.to_lowercase()}


def _warn(role: str, what: str, why: str, answer: str) -> Finding:
    text = f"{what} has no effect: {why}."
    return Finding("warn", "orders", role, text, answer=answer, kind="void")


def _why_void(columns: Columns, role: str, words: list[str]) -> str:
    """Say why no row holds the words of a role; empty if one does, or if nothing tells."""
    source = columns.source(role)
    if source is None:
        is_constant = columns.constant(role) is not None
        return f"{role} is a constant" if is_constant else f"no column is read as {role}"
    texts = [name for name, kind in columns.raw.schema.items() if is_text(kind)]
    meant = {spelt(word) for word in words}
    if source not in texts or meant & _words_of(columns, source):
        return ""
    for header in texts:
        if columns.spellings(header).len() <= MOST_WORDS and meant <= _words_of(columns, header):
            return f"the words stand in {header!r}, and {role} is read from {source!r}"
    return ""


def _words_of(columns: Columns, header: str) -> set[str]:
    """Return the words of a column as they are compared, without numbers, too."""
    words = columns.spellings(header)
    return {spelt(word) for word in (*words, *stem(words))}
