"""First page of a run: key figures, segments with their decision, the campaign, what needs a look.

Everything is read from what the run's notebooks wrote: their summaries and their tables.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segkit.display import counted, money, number, percent
from segkit.report.page import anchor

CLOSING = "12_summary"
PROFILE = "06_profiles/tables/profile.csv"
USABLE = "06_profiles/tables/usable.csv"
STABILITY = "05_segments/tables/segment_stability.csv"
PICTURES = ("waterfall", "campaign_lift", "lift_by_segment", "segment_profiles")
# Basis of a decision, as the table of next steps names it -> in words.
BASES = {
    "campaign": "measured in the campaign",
    "pilot": "measured in the pilot",
    "profile": "from the profile, not tested",
}
STEPS = {
    "none": "No message of their own",
    "keep": "Keep the usual offer",
    "stop": "Stop contacting",
}
MOST_CARDS = 8
HEIGHT = re.compile(r'<svg [^>]*?height="([\d.]+)pt"')
TALLEST = 500  # points of a picture in either form, that the first page on paper has room for
DECIDED = ("roll out", "change", "stop", "keep")  # by profit that was measured
GUESS = "Would the persona's guess have done as well?"
BETTER = ", and better"  # after "Yes": the guess did clearly better


def describe_run(
    folder: Path,
    summaries: Sequence[Mapping[str, Any]],
    *,
    above: str = "../",
    own: Path | None = None,
    picture: bool = True,
) -> dict[str, Any]:
    """Return the contents of a run's first page.

    Parameters
    ----------
    folder : pathlib.Path
        The run's folder.
    summaries : sequence of mapping
        The notebooks' summaries, in order.
    above : str
        Relative path from the page to the run's folder.
    own : pathlib.Path, optional
        Where the summary's notebook lies, if it is not in its place yet.
    picture : bool
        Whether to show the picture of the campaign.

    Returns
    -------
    dict
        ``tiles``, ``watched`` (key figures over time: now, change, alert), ``cards``, ``more``
        (segments without a card), ``picture`` (HTML) with ``picture_of`` and ``tall`` (whether it
        is too tall for the first page on paper), ``guess`` (that the
        persona's guess was no worse than the offers learnt, where so), ``attention``, and ``calm``
        (what to say where nothing needs attention); each may be empty.
    """
    by_stem = {str(summary.get("notebook", "")): summary for summary in summaries}
    currency = next((s["currency"] for s in reversed(summaries) if s.get("currency")), None)
    figures: dict[str, Mapping[str, Any]] = {}
    for summary in summaries:
        figures |= {str(one["name"]): one for one in summary.get("key_figures", [])}
    closing = own or folder / CLOSING
    cards = _cards(folder, closing, currency)
    folders = {stem: folder / stem for stem in by_stem} | {CLOSING: closing}
    drawn, title = _picture(folders, by_stem) if picture else ("", "")
    size = HEIGHT.findall(drawn)
    return {
        "tiles": [_tile(one, currency, above) for one in figures.values()],
        "watched": _watched(folder, above),
        "cards": cards[:MOST_CARDS],
        "more": counted(len(cards) - MOST_CARDS, "segment") if len(cards) > MOST_CARDS else "",
        "picture": drawn,
        "tall": bool(size) and max(map(float, size)) > TALLEST,
        "picture_of": title,
        "guess": _guess(summaries),
        "attention": _attention(summaries, cards),
        "calm": _calm(summaries, cards),
    }


def compare_run(page: Mapping[str, Any]) -> dict[str, str]:
    """Return what a table of several runs shows of one, from its first page (`describe_run`).

    Examples
    --------
    >>> tile = {"name": "revenue in a year", "value": "1,500 GBP", "change": "+2.1%"}
    >>> row = compare_run({"tiles": [tile], "cards": [], "more": ""})
    >>> row["revenue"], row["trend"], row["segments"]
    ('1,500 GBP', '+2.1%', '')
    """
    tiles = {tile["name"]: tile for tile in page["tiles"]}
    revenue, lift = tiles.get("revenue in a year", {}), tiles.get("conversion lift", {})
    interval = f" ({lift['interval']})" if lift.get("interval") else ""
    stable = [card["stable"] for card in page["cards"] if card["stable"]]
    count = len(page["cards"])
    sure = f", {stable.count('yes')} stable" if stable else ""
    return {
        "revenue": revenue.get("value", ""),
        "trend": revenue.get("change", ""),
        "segments": f"{count}{sure}" if count else "",
        "lift": f"{lift['value']}{interval}" if lift else "",
    }


# Key figures ----------------------------------------------------------------------------


def _watched(folder: Path, above: str) -> list[dict[str, str]]:
    """Return the tiles of the key figures over time, with links to their page."""
    from segkit.report.kpi_page import PAGE, write_run_kpis  # draws with polars and matplotlib

    tiles = write_run_kpis(folder)
    return [tile | {"link": f"{above}{PAGE}{tile['link']}"} for tile in tiles]


def _tile(figure: Mapping[str, Any], currency: str | None, above: str) -> dict[str, str]:
    unit = str(figure["unit"])
    low, high = figure["interval"]
    change, change_low, change_high = figure["change"]
    interval = ""
    if low is not None and high is not None:
        interval = f"{write(low, unit, None)} to {write(high, unit, None)}"
    moved = ""
    if change is not None:
        moved = signed(change)
        if change_low is not None and change_high is not None:
            moved += f" ({signed(change_low)} to {signed(change_high)})"
    return {
        "name": str(figure["name"]),
        "value": write(figure["value"], unit, currency),
        "interval": interval,
        "change": moved,
        "note": str(figure.get("note", "")).partition(";")[0],
        "link": _link(str(figure.get("evidence", "")), above),
    }


def write(value: float | None, unit: str, currency: str | None) -> str:
    """Write a key figure in its unit.

    Examples
    --------
    >>> write(17624, "count", None), write(0.864, "share", None), write(0.199, "lift", None)
    ('17,624', '86.4%', '+19.9%')
    """
    if value is None:
        return "not known"
    if unit == "share":
        return percent(value)
    if unit == "lift":
        return signed(value)
    return number(round(value)) if unit == "count" else money(value, currency)


def signed(share: float) -> str:
    """Write a change in per cent with its sign.

    Examples
    --------
    >>> signed(0.021), signed(-0.3), signed(0.0)
    ('+2.1%', '-30.0%', '0.0%')
    """
    return f"{'+' if share > 0 else ''}{percent(share)}"


def _link(evidence: str, above: str) -> str:
    stem, _, name = evidence.partition("/")
    return f"{above}{quote(stem)}/report.html#{quote(anchor(name))}" if name else ""


# Segments -------------------------------------------------------------------------------


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a kept table as texts; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _cards(folder: Path, closing: Path, currency: str | None) -> list[dict[str, str]]:
    """Return a card for each segment, those with most revenue first."""
    rows = read_rows(folder / PROFILE)
    judged = {row["segment"]: row for row in read_rows(folder / USABLE)}
    bands = {row["segment"]: row["band"] for row in read_rows(folder / STABILITY)}
    steps = {row["segment"]: row for row in _next_steps(closing)}
    cards = []
    for row in rows:
        name = row["segment"]
        worth = _money(row.get("revenue_per_customer"), currency)
        share = row.get("revenue_share")
        tests = judged.get(name, {})
        cards.append(
            {
                "name": row.get("segment_name") or name,
                "size": f"{counted(int(row['customers']), 'customer')}, "
                f"{percent(float(row['customer_share']))}",
                "worth": f"{percent(float(share))} of revenue, {worth} each" if share else "",
                "marks": row.get("segment_description") or _marks(row.get("marked_by", "")),
                "stable": {"true": "yes", "false": "no"}.get(tests.get("stable", ""), ""),
                "judged": _judged(
                    tests, bands.get(row.get("segment_name") or name, ""), steps.get(name)
                ),
                "order": share or row["customer_share"],
                **_decision(steps.get(name), currency),
            }
        )
    return sorted(cards, key=lambda card: -float(card["order"]))


def _judged(tests: Mapping[str, str], band: str, step: Mapping[str, str] | None) -> str:
    """Say how stable and how usable a segment is.

    Examples
    --------
    >>> _judged({"stable": "true", "verdict": "usable"}, "highly stable", None)
    'Highly stable; usable'
    >>> _judged({"stable": "false", "verdict": "not shown usable"}, "pattern", None)
    'Not stable; not shown usable'
    """
    steady = band if band.endswith("stable") else "stable"
    stable = {"true": steady, "false": "not stable"}.get(tests.get("stable", ""), "")
    text = "; ".join(part for part in (stable, _usable(tests.get("verdict", ""), step)) if part)
    return text[:1].upper() + text[1:]


def _usable(verdict: str, step: Mapping[str, str] | None) -> str:
    """Say how usable the profile calls a segment, and what decides where its offer is decided.

    Examples
    --------
    >>> _usable("not shown usable", {"decision": "roll out"})
    'not shown usable before the offer was tried; its measured profit decides'
    >>> _usable("usable", {"decision": "roll out"}), _usable("not shown usable", None)
    ('usable', 'not shown usable')
    """
    if step is None or step["decision"] not in DECIDED or not verdict.startswith("not "):
        return verdict
    return f"{verdict} before the offer was tried; its measured profit decides"


def _money(text: str | None, currency: str | None) -> str:
    return money(float(text), currency) if text else "an unknown amount"


def _marks(text: str) -> str:
    """Keep the first marks of a segment.

    Examples
    --------
    >>> _marks("↑ open rate, ↑ orders per year, ↓ returns, ↑ visits and 28 more")
    '↑ open rate, ↑ orders per year, ↓ returns'
    """
    return ", ".join(text.partition(" and ")[0].split(", ")[:3])


def _next_steps(closing: Path) -> list[dict[str, str]]:
    """Return the rows of the summary's table of decisions, whatever its name."""
    for path in sorted(closing.glob("tables/*.csv")):
        rows = read_rows(path)
        if rows and {"segment", "decision"} <= rows[0].keys():
            return rows
    return []


def _decision(row: Mapping[str, str] | None, currency: str | None) -> dict[str, str]:
    """Return a segment's decision in words, the money that hangs on it, and what it rests on."""
    if row is None:
        return {"decision": "", "gain": "", "basis": ""}
    step, offer = row["decision"], (row.get("offer") or "").replace("_", " ")
    if "test" in step:
        offers = [row.get(name) or "" for name in ("test_offer", "test_against")]
        named = [{"none": "no contact"}.get(one, one.replace("_", " ")) for one in offers if one]
        tested = " against ".join(named)
        decision = f"{step.capitalize()}: {tested}" if tested else step.capitalize()
    else:
        decision = STEPS.get(step, f"{step.capitalize()}{f': {offer}' if offer else ''}")
    gain = ""
    if row.get("monthly") and row.get("monthly_low") and row.get("monthly_high"):
        low, high = (money(round(float(row[f"monthly_{end}"]))) for end in ("low", "high"))
        gain = f"{money(round(float(row['monthly'])), currency)} a month ({low} to {high})"
        if "test" in step and float(row["monthly_low"]) * float(row["monthly_high"]) > 0:
            gain += ", not clear with all comparisons allowed for"
    basis = "" if step == "none" else BASES.get(row.get("basis", ""), "")
    return {"decision": decision, "gain": gain, "basis": basis}


# Picture and attention ------------------------------------------------------------------


def _picture(
    folders: Mapping[str, Path], by_stem: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str]:
    """Return the campaign's picture, in the page's theme, and what it shows."""
    from segkit.plot.vector import NARROW, from_file, of_page  # polars comes with it

    files = {
        Path(one["path"]).stem: (stem, one)
        for stem, summary in by_stem.items()
        for one in summary.get("figures", [])
        if str(one["path"]).endswith(".svg")
    }
    for wanted in PICTURES:
        for name, (stem, figure) in files.items():
            path = folders[stem] / figure["path"]
            if wanted in name and path.is_file():
                own = path.with_name(f"{path.stem}{NARROW}.svg")
                both = [
                    from_file(one.read_text(encoding="utf-8"))
                    for one in (path, own)
                    if one.is_file()
                ]
                return of_page(*both), str(figure["alt"])
    return "", ""


def _guess(summaries: Sequence[Mapping[str, Any]]) -> str:
    """Say that the persona's guess did no worse than the offers learnt, where that is shown."""
    rows = [row for one in summaries for row in one.get("answers", []) if row["question"] == GUESS]
    if not rows or not rows[-1]["answer"].startswith("Yes"):
        return ""
    rest = rows[-1]["answer"].removeprefix("Yes")
    did = "better than" if rest.startswith(BETTER) else "as well as"
    return f"The persona's guess did {did} the offers learnt{rest.removeprefix(BETTER)}"


def _attention(
    summaries: Sequence[Mapping[str, Any]], cards: Sequence[Mapping[str, str]]
) -> list[str]:
    """List what needs a look, each with its reason; most runs have nothing."""
    notes = []
    quality = next((s["quality"] for s in reversed(summaries) if s.get("quality")), None)
    if quality and quality["level"] != "good":
        word = "cannot carry firm conclusions" if quality["level"] == "poor" else "need a look"
        notes.append(f"The data {word}: {quality['text'].rstrip('.')}.")
    shaky = [card["name"] for card in cards if card["stable"] == "no"]
    if shaky and len(shaky) == len(cards):
        notes.append("No segment came out again on resampled customers: treat all alike.")
    elif shaky:
        notes.append(f"Not stable on resampled customers: {', '.join(shaky)}.")
    return notes


def _calm(summaries: Sequence[Mapping[str, Any]], cards: Sequence[Mapping[str, str]]) -> str:
    """Say what was looked at, where nothing needs attention."""
    parts = []
    if any(summary.get("quality") for summary in summaries):
        parts.append("the data are good")
    if cards and all(card["stable"] == "yes" for card in cards):
        parts.append("every segment came out again on resampled customers")
    return f"Nothing: {' and '.join(parts)}." if parts else ""
