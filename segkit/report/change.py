"""Changes between a notebook's run and the one before, and their causes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segkit.display import number
from segkit.runner.manifest import NOT_IN_KEY

# Compared by their digests among the inputs, not by their paths.
BY_DIGEST = ("data", "mapping")
DATA_PARAMETERS = ("source",)
KINDS = ("data", "parameters", "code", "customers", "earlier reports", "unknown")
SOURCE = "segkit source"


def change(summary: Mapping[str, Any], previous: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """List the findings of a notebook that differ from the run before.

    Parameters
    ----------
    summary : mapping
        The notebook's summary now.
    previous : mapping or None
        Headline and answers of the run before; None if there was none.

    Returns
    -------
    list of dict
        ``what``, ``was`` and ``now`` for the headline and each answer that differs.

    Examples
    --------
    >>> change({"headline": "5 segments"}, {"headline": "4 segments"})
    [{'what': 'Headline', 'was': '4 segments', 'now': '5 segments'}]
    """
    if not previous:
        return []
    was = {"Headline": previous.get("headline", "")}
    now = {"Headline": summary.get("headline", "")}
    was |= {row["question"]: row["answer"] for row in previous.get("answers", [])}
    now |= {row["question"]: row["answer"] for row in summary.get("answers", [])}
    questions = [*now, *(question for question in was if question not in now)]
    return [
        {
            "what": question,
            "was": was.get(question, "not asked"),
            "now": now.get(question, "no longer answered"),
        }
        for question in questions
        if was.get(question) != now.get(question)
    ]


def causes(
    manifest: Mapping[str, Any],
    summary: Mapping[str, Any],
    writers: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """List what differs between a notebook's run and the one before, by kind of cause.

    Parameters
    ----------
    manifest : mapping
        The notebook's manifest, with ``previous``.
    summary : mapping
        Its summary, with the counts of rows and customers.
    writers : mapping of str to str, optional
        Name of a piece of data to the title of the report that wrote it.

    Returns
    -------
    list of dict
        ``kind`` (data, parameters, code, customers, earlier reports, unknown) and ``text``.

    Examples
    --------
    >>> before = {"inputs": {}, "parameters": {"k": 4}, "versions": {}}
    >>> causes({"inputs": {}, "parameters": {"k": 5}, "versions": {}, "previous": before}, {})
    [{'kind': 'parameters', 'text': 'k 4 → 5'}]
    """
    previous = manifest.get("previous")
    if not previous:
        return []
    by_hand = manifest.get("status") == "interactive" or previous.get("key") == ""
    if by_hand or previous.get("inputs") is None:
        return [_cause("unknown", "not recorded for this run")]
    reasons = [
        *_of_inputs(manifest["inputs"], previous["inputs"], writers or {}),
        *_of_parameters(manifest["parameters"], previous.get("parameters") or {}),
        *_of_code(manifest, previous),
        *_of_customers(summary.get("rows") or {}, previous.get("rows") or {}),
    ]
    return sorted(reasons, key=lambda one: KINDS.index(one["kind"]))


def _cause(kind: str, text: str) -> dict[str, str]:
    return {"kind": kind, "text": text}


def _differing(now: Mapping[str, Any], was: Mapping[str, Any]) -> list[str]:
    return [name for name in {**now, **was} if now.get(name) != was.get(name)]


def _of_inputs(
    now: Mapping[str, str], was: Mapping[str, str], writers: Mapping[str, str]
) -> Iterable[dict[str, str]]:
    upstream: dict[str, None] = {}
    for name in _differing(now, was):
        if name == "mapping file":
            yield _cause("parameters", "the mapping file (how columns are read)")
        elif name == "data file":
            yield _cause("data", "the data file's content")
        elif name.endswith(" address"):
            yield _cause("data", "a database, read anew")
        elif name.startswith(("file ", "database ")):
            yield _cause("data", f"the content of {name.partition(' ')[2]}")
        else:
            stem = name.removeprefix("summary of ")
            upstream[writers.get(stem, stem.replace("_", " "))] = None
    for name, value in now.items():
        if value == "not hashed" == was.get(name):
            yield _cause("data", "a database, whose content cannot be compared")
    if upstream:
        yield _cause("earlier reports", f"new results of {', '.join(upstream)}")


def _of_parameters(now: Mapping[str, Any], was: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    for name in _differing(now, was):
        if name in NOT_IN_KEY or name in BY_DIGEST:
            continue
        kind = "data" if name in DATA_PARAMETERS else "parameters"
        yield _cause(kind, f"{name} {_value(was, name)} → {_value(now, name)}")


def _value(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "not set"
    value = values[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"


def _of_code(manifest: Mapping[str, Any], previous: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    digests = [one.get("notebook_digest") for one in (manifest, previous)]
    if all(digests) and digests[0] != digests[1]:
        yield _cause("code", "the notebook itself")
    now, was = manifest["versions"], previous.get("versions") or {}
    for name in _differing(now, was):
        if name == SOURCE:
            yield _cause("code", "segkit's own code")
        else:
            yield _cause("code", f"{name} {was.get(name, 'absent')} → {now.get(name, 'absent')}")


def _of_customers(now: Mapping[str, Any], was: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    count, before = now.get("customers"), was.get("customers")
    if count is not None and before is not None and count != before:
        yield _cause("customers", f"{number(before)} → {number(count)} ({count - before:+,})")


def in_words(reasons: list[dict[str, str]], *, changed: bool = True) -> str:
    """Write causes as one sentence; with several the share of each is not known.

    Parameters
    ----------
    reasons : list of dict
        As `causes` returns them.
    changed : bool
        Whether any finding changed; if none did, no cause is named.

    Examples
    --------
    >>> in_words([{"kind": "data", "text": "the data file's content"}])
    "Cause: data (the data file's content)."
    >>> in_words([])
    'Cause: none recorded; data, parameters, code and customers are as before.'
    >>> in_words([{"kind": "parameters", "text": "seed 0 → 1"}], changed=False)
    'What differs: parameters (seed 0 → 1).'
    """
    texts: dict[str, list[str]] = {}
    for one in reasons:
        details = texts.setdefault(one["kind"], [])
        if one["text"] not in details:
            details.append(one["text"])
    if not texts:
        none = "none recorded; data, parameters, code and customers are as before"
        return (
            f"Cause: {none}." if changed else "Data, parameters, code and customers are as before."
        )
    roots = texts.keys() - {"customers", "earlier reports"}
    many = "Causes, not told apart" if len(roots) > 1 else "Cause"
    parts = ", ".join(f"{kind} ({'; '.join(details)})" for kind, details in texts.items())
    return f"{many if changed else 'What differs'}: {parts}."
