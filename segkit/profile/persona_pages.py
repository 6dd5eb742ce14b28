"""Personas as documents: one printable page per segment, each line with its column and its n."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from segkit.display import (
    LABELS,
    counted,
    is_money,
    is_share,
    join_words,
    label,
    money,
    number,
    percent,
    stem,
)
from segkit.errors import require_columns
from segkit.frames import takes_frames
from segkit.profile.cards import BOUGHT, CHANNELS, CONSENT, HABITS, OFFERS, choose_offer
from segkit.profile.segment_profile import Profile
from segkit.result import Result
from segkit.stats.intervals import z_value
from segkit.writing import write_whole

UNKNOWN = "not known"
MOST = 4  # lines under one heading
MOST_HABITS = 6
MOST_TRIED = 6
HYPOTHESIS = "hypothesis until tested"
# What can hurt, by feature; price sensitivity shows in the discounts that are waited for.
PAINS = (
    ("abandonment_rate", "abandons carts"),
    ("return_share", "sends back what was bought"),
    ("complaints", "complains"),
    ("discount_share", "waits for lower prices"),
)
ASKED = (("csat", "satisfaction"), ("nps", "willingness to recommend"))
HEADINGS = (
    *("Size and worth", "Who", "Habits", "Favourite categories", "Channels and when reachable"),
    *("Motives", "Pain points", "What was tried, and what it did", "Next action", "Content brief"),
)
FACTS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("segment", "segment_name", "heading", "fact", "column"), pl.String),
    "n": pl.Int64,
}


class BriefRule(NamedTuple):
    """Advice on messages to a segment with a marker variable.

    Attributes
    ----------
    variable : str
        A feature without its window; "" holds for every segment.
    direction : str
        "above" or "below" the other customers.
    subject, tone, timing : str
        Angle of the subject line, tone, when to send.
    """

    variable: str
    direction: str
    subject: str
    tone: str
    timing: str


# The strongest marker variable that has a rule decides; the last rule holds for all others.
BRIEFS: tuple[BriefRule, ...] = (
    BriefRule("gift_share", "above", "the occasion, and the last day to order", "warm, helpful",
              "two weeks before the occasion"),
    BriefRule("discount_share", "above", "the saving, as an amount", "brief, matter-of-fact",
              "on the sale's first day"),
    BriefRule("abandonment_rate", "above", "help to choose", "advising, unhurried",
              "the day after a visit"),
    BriefRule("recency_days", "above", "what is new since the last order", "personal, no reproach",
              "now, and once more a month later"),
    BriefRule("orders_per_year", "above", "seen before others", "appreciative",
              "before the public start"),
    BriefRule("open_rate", "above", "seen before others", "appreciative",
              "before the public start"),
    BriefRule("return_share", "above", "fit and size", "reassuring",
              "with the order's confirmation"),
    BriefRule("", "", "what is new", "plain", "with the next mailing"),
)  # fmt: skip
# Least mean open rate, and the most e-mails a month that it bears.
CAPS: tuple[tuple[float, int], ...] = ((0.4, 4), (0.2, 2), (0.0, 1))


@dataclass(frozen=True, slots=True, eq=False)
class PersonaPages(Result):
    """A document for each segment.

    Attributes
    ----------
    facts : polars.DataFrame
        One row per line of a page: segment, segment_name, heading, fact ("not known" where nothing
        is), column (that it rests on), n (customers of whom it is known; null where none).
    descriptions : dict of str to str
        Segment to what stands beneath its name.
    """

    facts: pl.DataFrame
    descriptions: Mapping[str, str]

    @property
    def text(self) -> str:
        """How many pages there are, and how much is not known."""
        pages = self.facts["segment"].n_unique()
        missing = self.facts.filter(fact=UNKNOWN)["heading"].unique(maintain_order=True).to_list()
        gaps = f" Not known of some: {join_words(missing).lower()}." if missing else ""
        return f"{counted(pages, 'persona')}, a printable page each.{gaps}"

    def render(self, segment: str) -> str:
        """Return a segment's page as HTML, complete in itself, to be printed on one sheet."""
        mine = self.facts.filter(segment=segment)
        require_columns([*mine["segment"].unique()], [segment], "the personas")
        name = str(mine["segment_name"][0])
        beneath = self.descriptions.get(segment, "")
        under = (
            f"<p class='beneath'>{html.escape(beneath)}</p>" if beneath not in ("", name) else ""
        )
        parts = []
        for heading in HEADINGS:
            rows = mine.filter(heading=heading).to_dicts()
            lines = "".join(_line(row) for row in rows).replace(f" [{HYPOTHESIS}]", "")
            end = f": {HYPOTHESIS}" if heading == HEADINGS[-1] else ""
            parts.append(f"<section><h2>{heading}{end}</h2><ul>{lines}</ul></section>")
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(name)}</title><style>{STYLE}</style></head><body><main>"
            f"<h1>{html.escape(name)}</h1>{under}<div class='parts'>{''.join(parts)}</div>"
            "<footer>In small print: the column that a line rests on, and of how many customers "
            "it is known. Habits are medians.</footer></main></body></html>"
        )

    def save(self, folder: Path | str) -> tuple[Path, ...]:
        """Write each page to a file of its own, named after the segment; return the paths."""
        names = dict(
            self.facts.select("segment", "segment_name").unique(maintain_order=True).rows()
        )
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for segment, name in names.items():
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "segment"
            page = Path(folder) / f"{segment.lower()}-{slug}.html"
            paths.append(write_whole(page, self.render(segment)))
        return tuple(paths)

    def _repr_html_(self) -> str:
        from segkit.display import table_html

        return f"<p>{html.escape(self.text)}</p>{table_html(self.facts.drop('segment'))}"


STYLE = (
    "@page{size:A4;margin:12mm}:root{color-scheme:light dark}"
    "body{font:10pt/1.35 system-ui,sans-serif;margin:0;color:#1a1a1a;background:#fff}"
    "main{max-width:190mm;margin:0 auto;padding:8mm}h1{font-size:20pt;margin:0}"
    ".beneath{margin:.1em 0 .6em;color:#555}.parts{columns:2;column-gap:8mm}"
    "section{break-inside:avoid;margin:0 0 3mm}h2{font-size:11pt;margin:0 0 1mm;"
    "border-bottom:1px solid #999}ul{margin:0;padding-left:4mm}small{color:#555}"
    "footer{font-size:9pt;color:#555;margin-top:3mm}"
    "@media(max-width:40rem){.parts{columns:1}}"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#eee}"
    ".beneath,small,footer{color:#aaa}}"
    "@media print{body{background:#fff;color:#000;font-size:9pt;line-height:1.25}"
    "main{padding:0}section{margin-bottom:2mm}small{font-size:8pt}}"
)


def _line(row: Mapping[str, Any]) -> str:
    basis = [] if not row["column"] else [html.escape(row["column"])]
    basis += [] if row["n"] is None else [f"n = {number(row['n'])}"]
    small = f" <small>({', '.join(basis)})</small>" if basis else ""
    return f"<li>{html.escape(row['fact'])}{small}</li>"


@takes_frames
def write_persona_pages(
    profile: Profile,
    *,
    steps: pl.DataFrame | None = None,
    tried: pl.DataFrame | None = None,
    members: pl.DataFrame | None = None,
    attitudes: pl.DataFrame | None = None,
    survey: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> PersonaPages:
    """Write a printable page for each segment.

    What a page says: size and worth, who they are, habits, favourite categories, channels and when
    they can be reached, motives (attitudes of the survey), pain points, what was tried and what it
    did, the next action and a content brief by stated rules (`BRIEFS`, `CAPS`). Each line names its
    column and of how many customers it is known; what is not known is printed as such.

    Parameters
    ----------
    profile : Profile
        From `profile_segments`.
    steps : polars.DataFrame, optional
        `NextSteps.table`.
    tried : polars.DataFrame, optional
        What `segkit.campaign.compare_offers` (or `compare_pilot_offers`) returned.
    members : polars.DataFrame, optional
        customer_id and segment, needed for what follows.
    attitudes : polars.DataFrame, optional
        customer_id and one column per factor (standardised), from the survey.
    survey : polars.DataFrame, optional
        customer_id, csat, nps.
    events : polars.DataFrame, optional
        customer_id, event_type, event_time: when e-mails are opened.
    descriptions : mapping of str to str, optional
        Segment to what stands beneath its name: `SegmentModel.descriptions`.

    Returns
    -------
    PersonaPages

    Examples
    --------
    >>> from segkit.profile import profile_segments
    >>> table = pl.DataFrame({"customer_id": [*"abcd"], "frequency": [1, 2, 8, 9]})
    >>> chosen = pl.DataFrame({"customer_id": [*"abcd"], "segment": ["S1", "S1", "S2", "S2"]})
    >>> pages = write_persona_pages(profile_segments(table, chosen))
    >>> pages.facts.filter(segment="S2", heading="Habits").select("fact", "column", "n").row(0)
    ('orders: 8.50 (all customers: 5)', 'frequency', 2)
    >>> pages.facts.filter(segment="S2", heading="Motives")["fact"].item()
    'not known'
    """
    answers = _by_segment(survey, members, [name for name, _ in ASKED])
    minds = _by_segment(attitudes, members, None)
    hours = _opening_hours(events, members)
    rows: list[tuple[str, str, str, str, str, int | None]] = []
    for segment, name in profile.segments.select("segment", "segment_name").iter_rows():
        mine = profile.of(segment)
        keys = (segment, name)
        lines_by_heading = {
            "Size and worth": _worth(mine["segments"].row(0, named=True), profile.currency),
            "Who": _shares(mine["composition"], but=(*CHANNELS, *CONSENT, *BOUGHT), more=True),
            "Habits": _habits(mine["variables"], profile.currency),
            "Favourite categories": _shares(mine["composition"], only=BOUGHT[:1]),
            "Channels and when reachable": [
                *_shares(mine["composition"], only=(*CHANNELS, *CONSENT)),
                *hours.get(segment, ()),
            ],
            "Motives": _motives(minds.get(segment)),
            "Pain points": [*_pains(mine["variables"]), *_answers(answers.get(segment))],
            "What was tried, and what it did": _tried(tried, keys, profile.currency),
            "Next action": _action(steps, segment, profile.currency),
            "Content brief": _brief(mine, steps, segment),
        }
        for heading in HEADINGS:
            lines = list(lines_by_heading[heading]) or [(UNKNOWN, "", None)]
            rows += [(*keys, heading, *line) for line in lines]
    facts = pl.DataFrame(rows, schema=FACTS, orient="row")
    return PersonaPages(facts, dict(descriptions or {}))


Line = tuple[str, str, int | None]


def _worth(row: Mapping[str, Any], currency: str | None) -> Iterator[Line]:
    yield (
        f"{counted(row['customers'], 'customer')}, {percent(row['customer_share'])} of all",
        "segment",
        row["customers"],
    )
    if row.get("revenue_per_customer") is not None:
        share = row["revenue_share"]
        part = "" if share is None else f", {percent(share)} of revenue"
        low, high = row["revenue_per_customer_low"], row["revenue_per_customer_high"]
        ends = "" if low is None else f" (95% CI {money(low)} to {money(high)})"
        worth = f"{money(row['revenue_per_customer'], currency)} per customer{ends}{part}"
        yield worth, "amount of the order lines", row["customers"]
    else:
        yield f"Worth: {UNKNOWN}", "", None


def _shares(
    composition: pl.DataFrame,
    *,
    only: Sequence[str] = (),
    but: Sequence[str] = (),
    more: bool = False,
) -> Iterator[Line]:
    """Yield the commonest levels; with ``more``, those clearly commoner than among all."""
    rows = composition.drop_nulls("share").filter(pl.col("level") != "other")
    rows = rows.filter(pl.col("variable").is_in(only)) if only else rows
    rows = rows.filter(~pl.col("variable").is_in(but) & (pl.col("share") >= 0.1))
    of_all = (pl.col("level") == "no") | (pl.col("share_all") == 1)  # an audience is chosen by it
    rows = rows.filter(~(pl.col("variable").is_in(CONSENT) & of_all))
    order = pl.col("share")
    if more:
        rows, order = (
            rows.filter(pl.col("share_low") > pl.col("share_all")),
            order / pl.col("share_all"),
        )
    for row in rows.sort(order, descending=True, maintain_order=True).head(MOST).to_dicts():
        name = "" if only == BOUGHT[:1] else f"{label(row['variable'])}, "  # the heading names it
        whole = percent(row["share_all"])
        words = f"{name}{row['level']}: {percent(row['share'])} (all customers: {whole})"
        yield words, row["variable"], row["known"]


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _value(row: Mapping[str, Any], end: str, currency: str | None) -> str:
    value = row[f"mean{end}"] if row["kind"] == "yes/no" else row[f"median{end}"]
    if is_money(row["variable"]):
        return money(value, currency)
    return percent(value) if row["kind"] == "yes/no" or is_share(row["variable"]) else number(value)


def _habits(variables: pl.DataFrame, currency: str | None) -> Iterator[Line]:
    rows = {stem(row["variable"]): row for row in variables.to_dicts() if row["customers"]}
    wanted = [name for name in HABITS if name in rows and name not in dict(PAINS)]
    for name in wanted[:MOST_HABITS]:
        row = rows[name]
        own, whole = (_value(row, end, currency) for end in ("", "_all"))
        words = f"{LABELS[name]}: {own} (all customers: {whole})"
        yield words, row["variable"], row["customers"]


def _pains(variables: pl.DataFrame) -> Iterator[Line]:
    """Yield what members do more than others, of what can hurt; and what is not known of it."""
    rows = {stem(row["variable"]): row for row in variables.to_dicts() if row["customers"]}
    usual = []
    for name, words in PAINS:
        row = rows.get(name)
        if row is None:
            yield f"{_capital(words)}: {UNKNOWN}", name, None
        elif row["marker"] and row["direction"] == "above":
            own, whole = _value(row, "", None), _value(row, "_all", None)
            yield f"{words}: {label(name)} {own} (all customers: {whole})", name, row["customers"]
        else:
            usual.append(name)
    if usual:
        labels = join_words([label(name) for name in usual])
        yield f"no more than others: {labels}", ", ".join(usual), rows[usual[0]]["customers"]


def _by_segment(
    frame: pl.DataFrame | None, members: pl.DataFrame | None, columns: Sequence[str] | None
) -> dict[str, list[tuple[str, float, float, float, int]]]:
    """Return for each segment every column's name, mean, error, mean of all, and n."""
    if frame is None or members is None:
        return {}
    require_columns(members.columns, ["customer_id", "segment"], "members")
    names = [
        name
        for name in frame.columns
        if name != "customer_id"
        and (columns is None or name in columns)
        and frame[name].dtype.is_numeric()
    ]
    joined = frame.select("customer_id", *names).join(
        members.select("customer_id", "segment"), on="customer_id", maintain_order="left"
    )
    by_segment: dict[str, list[tuple[str, float, float, float, int]]] = {}
    for (segment,), part in sorted(joined.partition_by("segment", as_dict=True).items()):
        for name in names:
            values = part[name].cast(pl.Float64).drop_nulls().drop_nans()
            if len(values) > 1:
                error = float(values.std() or 0.0) / np.sqrt(len(values))  # type: ignore[arg-type]
                whole = joined[name].cast(pl.Float64).drop_nans().mean()
                by_segment.setdefault(str(segment), []).append(
                    (name, float(values.mean()), error, float(whole), len(values))  # type: ignore[arg-type]
                )
    return by_segment


def _motives(
    scores: Sequence[tuple[str, float, float, float, int]] | None,
) -> Iterator[Line]:
    """Yield the attitudes in which members clearly differ from all who answered, largest first."""
    rows = sorted(scores or (), key=lambda row: -abs(row[1] - row[3]))
    clear = [row for row in rows if abs(row[1] - row[3]) > z_value(0.95) * row[2]]
    for name, mean, _, whole, n in clear[:MOST]:
        topic = name.removeprefix("attitude_").replace("_", " ")
        side = "above" if mean > whole else "below"
        yield (
            f"{topic}: {abs(mean - whole):.2f} standard deviations {side} all who answered",
            name,
            n,
        )
    if scores and not clear:
        yield "as all who answered", ", ".join(row[0] for row in scores), scores[0][4]


def _answers(scores: Sequence[tuple[str, float, float, float, int]] | None) -> Iterator[Line]:
    answered = {row[0]: row for row in scores or ()}
    for name, words in ASKED:
        if name not in answered:
            yield f"{_capital(words)}: {UNKNOWN}", name, None
            continue
        _, mean, error, whole, n = answered[name]
        if mean + z_value(0.95) * error < whole:
            yield f"low {words}: {number(mean)} (all who answered: {number(whole)})", name, n


def _opening_hours(
    events: pl.DataFrame | None, members: pl.DataFrame | None
) -> dict[str, list[Line]]:
    """Return for each segment the part of the day in which most of its e-mails are opened."""
    if events is None or members is None or "event_time" not in events.columns:
        return {}
    opened = events.filter(pl.col("event_type").cast(pl.String).str.contains("open"))
    hours = opened.select("customer_id", part=pl.col("event_time").dt.hour() // 6).join(
        members.select("customer_id", "segment"), on="customer_id"
    )
    names = {0: "0 to 6", 1: "6 to 12", 2: "12 to 18", 3: "18 to 24"}
    by_segment: dict[str, list[Line]] = {}
    for (segment,), part in sorted(hours.partition_by("segment", as_dict=True).items()):
        first = part.group_by("part").len().sort("len", "part", descending=[True, False]).row(0)
        share = percent(first[1] / part.height, places=0)
        words = f"opens e-mails most from {names[int(first[0])]} o'clock UTC ({share})"
        by_segment[str(segment)] = [(words, "event_time", part["customer_id"].n_unique())]
    return by_segment


def _tried(
    tried: pl.DataFrame | None, keys: tuple[str, str], currency: str | None
) -> Iterator[Line]:
    if tried is None:
        return
    clear = pl.col("shown").is_in(["gain", "loss"]), pl.col("profit_low").is_not_null()
    rows = tried.filter(pl.col("segment").is_in(keys)).sort(
        *clear, pl.col("against") != "none", descending=True, maintain_order=True
    )
    for row in rows.head(MOST_TRIED).to_dicts():
        verdict = {"gain": "a gain", "loss": "a loss"}.get(row["shown"], "undecided")
        low, high = row["profit_low"], row["profit_high"]
        ends = "" if low is None else f" (95% CI {money(low)} to {money(high)})"
        words = (
            f"{_offer(row['offer'])} against {_offer(row['against'])}: "
            f"{money(row['profit'], currency)} profit per customer{ends}, {verdict}"
        )
        yield words, "revenue", row["customers_offer"] + row["customers_against"]
    if rows.height > MOST_TRIED:
        yield f"{counted(rows.height - MOST_TRIED, 'more comparison')} in the reports", "", None


def _offer(name: str) -> str:
    return "no contact" if name == "none" else name.replace("_", " ")


def _action(steps: pl.DataFrame | None, segment: str, currency: str | None) -> Iterator[Line]:
    for row in () if steps is None else steps.filter(segment=segment).to_dicts():
        if row["decision"] == "none":
            yield f"no message of its own: {row['why']}", "decision", None
            continue
        words = row["decision"]
        if row["decision"] in ("keep testing", "start testing"):
            words += f": {_offer(row['test_offer'])} against {_offer(row['test_against'])}"
        elif row["decision"] != "stop":
            words += f" {row['offer'].replace('_', ' ')}"
        worth = ""
        if row["monthly_low"] is not None and row["decision"] not in ("keep testing",):
            worth = (
                f"; {money(round(row['monthly']), currency)} a month (95% CI "
                f"{money(round(row['monthly_low']))} to {money(round(row['monthly_high']))})"
            )
        yield f"{_capital(words)}{worth}", f"decision, by the {row['basis']}", row["reach"]
        yield _capital(row["why"]), "why", None


def _brief(
    mine: Mapping[str, pl.DataFrame], steps: pl.DataFrame | None, segment: str
) -> Iterator[Line]:
    """Yield what a message should be like, by the rules."""
    marks = (
        mine["variables"]
        .filter(pl.col("marker"))
        .sort(pl.col("strength").abs(), descending=True, maintain_order=True)
    )
    rule, column = BRIEFS[-1], ""
    rules = {(one.variable, one.direction): one for one in BRIEFS}
    for row in marks.to_dicts():
        if same := rules.get((stem(row["variable"]), row["direction"])):
            rule, column = same, row["variable"]
            break
    offer, source = choose_offer(mine["variables"], OFFERS)[0], HYPOTHESIS
    for row in () if steps is None else steps.filter(segment=segment).to_dicts():
        if row["decision"] in ("roll out", "change", "keep"):
            offer, source = row["offer"].replace("_", " "), f"measured in the {row['basis']}"
        elif row["decision"] in ("none", "stop"):
            offer = "none"
        elif row["test_offer"] not in (None, "generic"):
            offer = row["test_offer"].replace("_", " ")
    yield f"Subject line: {rule.subject} [{HYPOTHESIS}]", column, None
    yield f"Tone: {rule.tone} [{HYPOTHESIS}]", column, None
    yield f"Offer: {offer} [{source}]", "decision" if source != HYPOTHESIS else column, None
    channels = list(_shares(mine["composition"], only=CHANNELS))
    shop = channels[0][0].partition(", ")[2].partition(":")[0] if channels else UNKNOWN
    yield (
        f"Channel: e-mail; preferred for orders: {shop} [{HYPOTHESIS}]",
        CHANNELS[0],
        channels[0][2] if channels else None,
    )
    yield f"Timing: {rule.timing} [{HYPOTHESIS}]", column, None
    opens = [row for row in mine["variables"].to_dicts() if stem(row["variable"]) == "open_rate"]
    if not opens or opens[0]["mean"] is None:
        yield f"Frequency cap: {UNKNOWN}", "open_rate", None
        return
    cap = next(most for least, most in CAPS if opens[0]["mean"] >= least)
    words = f"at most {number(cap)} e-mail{'s' if cap > 1 else ''} a month"
    yield f"Frequency cap: {words} [{HYPOTHESIS}]", "open_rate", opens[0]["customers"]
