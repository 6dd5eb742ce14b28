"""What to do next with each segment: roll out, keep, change, test or stop, by measured profit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.metrics import mean
from segkit.campaign.offer_profits import PROFITS, USUAL, find_proven
from segkit.campaign.pilot import words
from segkit.campaign.power import compute_sample_size
from segkit.display import MOST_WORDS, counted, join_words, money, number, percent, sentences
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.lift.verdicts import ALL
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words

Decision = Literal["roll out", "change", "stop", "keep", "keep testing", "start testing", "none"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
DECIDED: tuple[Decision, ...] = DECISIONS[:4]
CHANGING: tuple[Decision, ...] = DECISIONS[:3]  # what is sent from now on differs
TESTING: tuple[Decision, ...] = DECISIONS[4:6]
ACTIONS = {
    "roll out": ("roll out", "{offer} to {segment_name}"),
    "change": ("change to", "{offer} for {segment_name}"),
    "stop": ("stop contacting", "{segment_name}"),
}
ENDS = ("", "_low", "_high")
BASES = {  # the first that says something of a segment counts
    "campaign": "measured in the campaign",
    "pilot": "measured in the pilot alone",
    "profile": "suggested by the profile, where nothing was measured",
}
USABLE = ("usable", "usable with care")
HALVES = {"one half": 0.5, "other half": 0.5}
LONGEST_TEST = 12  # months; a difference that needs longer is not worth a test
UNSTABLE = "neither stable nor usable"
STEPS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(
        ("segment", "segment_name", "decision", "offer", "against", "basis"), pl.String
    ),
    "reach": pl.Int64,
    **dict.fromkeys(
        ("profit", "profit_low", "profit_high", "monthly", "monthly_low", "monthly_high"),
        pl.Float64,
    ),
    **dict.fromkeys(("test_offer", "test_against"), pl.String),
    **dict.fromkeys(("test_customers", "test_months"), pl.Int64),
    "usability": pl.String,
    "stable": pl.Boolean,
    "revenue_share": pl.Float64,
    "why": pl.String,
}
Row = dict[str, Any]
UNTRIED: Row = {"shown": "unknown", "profit": None}  # a comparison that was not made


@dataclass(frozen=True, slots=True, eq=False)
class NextSteps(Result):
    """Decision for each segment, and the evidence that it rests on.

    Attributes
    ----------
    table : polars.DataFrame
        One row per segment: segment, segment_name, decision ("roll out" an offer in place of the
        usual one, "change" to it, "stop" contacting, "keep" the usual offer, "keep testing",
        "start testing", "none": no step of its own is recommended), offer (to send from now on, the
        usual one until a test has ended; null for "none"), against (what the profit is
        compared with), basis ("campaign" or "pilot": measured there; "profile": nothing was
        measured), reach (customers who may be contacted), profit (added per customer) and monthly
        (for all within reach, one campaign per month) with _low and _high, the test that would
        settle what is open (test_offer, test_against, test_customers in two halves, test_months;
        null where nothing is open or no test of a year would), usability, stable, revenue_share,
        why. Of tests that nothing else tells apart, the one of the segment with most revenue is
        first.
    usual : str
        The offer that customers get without a campaign of their segment's own.
    overall : dict of str to float or None
        profit, profit_low, profit_high of the usual offer against none over all customers.
    level : float
    currency : str or None
    """

    table: pl.DataFrame
    usual: str
    overall: dict[str, float | None] | None
    level: float
    currency: str | None = None

    def choose(self, *decisions: Decision) -> list[Row]:
        """Return the rows with one of the decisions."""
        return self.table.filter(pl.col("decision").is_in(decisions)).to_dicts()

    @property
    def monthly(self) -> tuple[float, float, float] | None:
        """Profit per month, with its interval, of all that changes; None if nothing does.

        Segments' customers differ, so the errors are independent: the limits' distances add up by
        their squares (Zou & Donner 2008, Statistics in Medicine 27, the MOVER).
        """
        rows = [row for row in self.choose(*CHANGING) if row["monthly_low"] is not None]
        if not rows:
            return None
        total = math.fsum(row["monthly"] for row in rows)
        below, above = (
            math.hypot(*(row["monthly"] - row[f"monthly{end}"] for row in rows)) for end in ENDS[1:]
        )
        return total, total - below, total + above

    @property
    def text(self) -> str:
        """The decisions in words, what they rest on, and how they go with usability."""
        decided = [self._changes(), self._kept_words(), self._tests(), self._left_alone()]
        return sentences(*decided, self._reconciled(), self._bases(), self._month())

    @property
    def answer(self) -> str:
        """The decisions in one sentence; how many they are, where naming them takes too long."""
        rows, tests = self.choose(*CHANGING) or self.choose("keep"), self.choose(*TESTING)
        if len(self.headline.split()) <= MOST_WORDS or not (rows or tests):
            return self.headline
        if not rows:
            return self._first_test(tests, with_size=False)
        share = f"{number(len(rows))} of {counted(self.table.height, 'segment')}"
        if rows[0]["decision"] == "keep":
            return f"Keep {words(self.usual)} for {share}."
        return f"Change what {share} get{self._worth()}."

    def _a_month(self, value: float, low: float, high: float) -> str:
        ends = ci_words(round(low), round(high), self.level)
        return f"{money(round(value), self.currency)} a month ({ends})"

    def _worth(self) -> str:
        return f": added profit {self._a_month(*self.monthly)}" if self.monthly else ""

    def _changes(self) -> str:
        actions = []
        for decision in CHANGING:
            verb, form = ACTIONS[decision]
            rows = [row | {"offer": words(row["offer"])} for row in self.choose(decision)]
            if rows:
                actions.append(f"{verb} {join_words([form.format(**row) for row in rows])}")
        sentence = "; ".join(actions)
        return f"{sentence[0].upper()}{sentence[1:]}{self._worth()}." if sentence else ""

    def _kept_words(self) -> str:
        each = [
            f"{row['segment_name']}, {self._a_month(*(row[f'monthly{end}'] for end in ENDS))}"
            for row in self.choose("keep")
        ]
        start = f"Keep {words(self.usual)}, which is shown to pay"
        return f"{start}: {'; '.join(each)}." if each else ""

    def _tests(self) -> str:
        rows = _by_length(self.choose(*TESTING))
        tests = [self._test(row) for row in rows]
        if self.choose(*DECIDED):
            return f"Not decided: test {'; '.join(tests)}." if tests else ""
        further = f"Further tests: {'; '.join(tests[1:])}." if tests[1:] else ""
        return sentences(self._first_test(rows), further) if tests else ""

    def _first_test(self, rows: Sequence[Row], *, with_size: bool = True) -> str:
        measured = any(row["basis"] != "profile" for row in rows)
        state = "No offer is shown to pay yet" if measured else "No offer has been tested yet"
        first = _by_length(rows)[0]
        share = first["revenue_share"] if len(rows) > 1 and not first["test_customers"] else None
        why = "" if share is None else f", {percent(share)} of revenue"
        return f"{state}: first test {self._test(first, why, with_size=with_size)}."

    def _test(self, row: Row, why: str = "", *, with_size: bool = True) -> str:
        offers = f"{words(row['test_offer'])} against {words(row['test_against'])}"
        offers += f" for {row['segment_name']}{why}"
        customers, months = row["test_customers"], row["test_months"]
        size = "no test of a year would settle it"
        if customers is None and row["basis"] == "profile":
            size = "as large as the campaign allows"
        elif customers is not None:
            lasting = f", {counted(months, 'month')}" if months is not None else ""
            size = f"{counted(customers, 'customer')}{lasting}"
        return f"{offers} ({size})" if with_size else offers

    def _left_alone(self) -> str:
        reasons: dict[str, list[str]] = {}
        rows = self.choose("none")
        for row in rows:
            reasons.setdefault(row["why"], []).append(row["segment_name"])
        if len(rows) < self.table.height:
            each = "; ".join(f"{join_words(names)}: {why}" for why, names in reasons.items())
            return f"No message of their own for {each}." if each else ""
        state = "usable, and nothing is measured"
        state = "stable or usable" if list(reasons) == [UNSTABLE] else state
        alike = f"Treat all customers alike: no segment is {state}"
        if self.overall is None or self.overall["profit"] is None:
            return f"{alike}, so none gets a message of its own."
        value, low, high = (self.overall[f"profit{end}"] for end in ENDS)
        ends, verdict = "", "whether it pays is undecided"
        if low is not None and high is not None:
            ends = f" ({ci_words(low, high, self.level, money)})"
            verdict = "it pays" if low > 0 else "it loses money" if high < 0 else verdict
        added = f"{words(self.usual)} added {money(value, self.currency)} per customer{ends}"
        return f"{alike}. Over all of them {added}: {verdict}."

    def _reconciled(self) -> str:
        """Say why an offer won in a segment that the profile does not call usable."""
        names = [
            row["segment_name"]
            for row in self.choose(*DECIDED)
            if row["usability"] not in (None, *USABLE)
        ]
        verb = "is" if len(names) == 1 else "are"
        why = (
            "not shown usable by the profile, which judges size, reach and spend before any offer "
            "is tried; a profit measured since then decides."
        )
        return f"{join_words(names)} {verb} {why}" if names else ""

    def _bases(self) -> str:
        decided = self.table.filter(pl.col("decision") != "none")
        names = {basis: decided.filter(basis=basis)["segment_name"].to_list() for basis in BASES}
        parts = [f"{BASES[basis]}: {join_words(some)}" for basis, some in names.items() if some]
        return f"What this rests on: {'; '.join(parts)}." if parts else ""

    def _month(self) -> str:
        month = (
            "A month is one such campaign to all who may be contacted, with the profit of its "
            "window. Offers that did best also had luck: expect somewhat less."
        )
        return month if self.monthly else ""

    def plot(self) -> Figure:
        """Draw the profit per month of each segment's decision.

        Raises
        ------
        DataError
            If no profit was measured.
        """
        from segkit.plot import intervals

        measured = self.table.drop_nulls("monthly")
        if measured.is_empty():
            raise DataError("no profit was measured in any segment, so there is none to draw")
        tested = pl.col("decision").str.contains("test")
        offer = pl.when(tested).then(pl.coalesce("test_offer", "offer")).otherwise("offer")
        offer = offer.map_elements(words, pl.String)
        return intervals(
            measured.with_columns(step=pl.format("{}: {}, {}", "segment_name", "decision", offer)),
            "step",
            "monthly",
            interval=("monthly_low", "monthly_high"),
            title="What each decision is worth in a month",
            y_label=f"Added profit per month, {self.currency or 'currency of the data'}",
        )


@takes_frames
def decide_next_steps(
    segments: pl.DataFrame,
    *,
    campaign: pl.DataFrame | None = None,
    pilot: pl.DataFrame | None = None,
    usability: pl.DataFrame | None = None,
    ideas: Mapping[str, str] | None = None,
    next_round: Mapping[str, str] | None = None,
    power: pl.DataFrame | None = None,
    usual: str = USUAL,
    level: float = 0.95,
    currency: str | None = None,
) -> NextSteps:
    """Decide for each segment what to do next.

    A decision rests on profit measured in the campaign where there is one, on the pilot's where
    not, and on the profile where neither exists, and says which. Segments that are neither stable
    nor usable get none; where nothing was measured, neither do segments that are not usable.

    Parameters
    ----------
    segments : polars.DataFrame
        segment, segment_name, customers, and revenue_share where it is known: `Profile.segments`.
    campaign, pilot : polars.DataFrame, optional
        What `compare_offers` and `compare_pilot_offers` return; segments by id or name.
    usability : polars.DataFrame, optional
        segment, verdict, stable: `Usability.scores`; without it no segment is left out.
    ideas : mapping of str to str, optional
        Segment to the offer that its profile suggests.
    next_round : mapping of str to str, optional
        Segment, by id or name, to the offer learnt from pilot and campaign (`adapt_policy`): where
        testing goes on, that offer is tested first.
    power : polars.DataFrame, optional
        `SegmentPower.table`, for the size of a first test.
    usual : str
        The offer that customers get without a campaign of their segment's own.
    level : float
    currency : str, optional

    Returns
    -------
    NextSteps

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If no segment holds a customer.
    ParameterError
        If a comparison is of a segment that is not among the segments.

    Notes
    -----
    Of the offers tried in a segment beside the usual one:

    1. one shown to earn more than the usual one, and not shown to lose money: roll it out;
    2. one shown to pay and earning no less than the usual one, which is not shown to pay: change to
       it;
    3. the usual one shown to lose money (without a usual one: all that were tried): stop;
    4. the usual one shown to pay: keep it;
    5. all else: keep testing what earned more, or whether the usual one pays.

    The test of what is open compares two halves on profit, with 80% power for the difference that
    was measured.

    Examples
    --------
    >>> segments = pl.DataFrame({"segment": ["S1"], "segment_name": ["Loyalists"],
    ...                          "customers": [9]})
    >>> steps = decide_next_steps(segments, ideas={"S1": "early access"})
    >>> steps.table.select("decision", "offer", "basis", "test_offer").row(0)
    ('start testing', 'generic', 'profile', 'early access')
    """
    require_columns(segments.columns, ["segment", "segment_name", "customers"], "segments")
    filled = segments.filter(pl.col("customers") > 0)
    if filled.is_empty():
        raise DataError("no segment holds a customer, so there is nothing to decide")
    measured: dict[str, tuple[str, list[Row]]] = {}
    overall: dict[str, float | None] | None = None
    for basis, frame in (("pilot", pilot), ("campaign", campaign)):  # the campaign's go first
        if frame is None:
            continue
        require_columns(frame.columns, list(PROFITS), f"the {basis}'s comparisons")
        for row in frame.filter(segment=ALL).iter_rows(named=True):
            overall = {f"profit{end}": row[f"profit{end}"] for end in ENDS}
        for (name,), part in frame.filter(pl.col("segment") != ALL).group_by("segment"):
            measured[_segment_of(str(name), segments)] = basis, part.to_dicts()
    judged: dict[Any, Row] = {}
    if usability is not None:
        require_columns(usability.columns, ["segment", "verdict", "stable"], "usability")
        judged = usability.rows_by_key("segment", named=True, unique=True)
    sizes: dict[str, int | None] = {}
    if power is not None:
        require_columns(power.columns, ["segment", "needed"], "power")
        sizes = dict(power.select("segment", "needed").iter_rows())
    learnt = {_segment_of(name, segments): offer for name, offer in (next_round or {}).items()}
    steps = []
    for segment, name, share in _largest_first(filled).iter_rows():
        basis, rows = measured.get(segment, ("profile", []))
        step: Row = (
            _decide(rows, usual, learnt.get(segment))
            if rows
            else _suggest((ideas or {}).get(segment, usual), usual, sizes.get(segment))
        )
        judgement = judged.get(segment, {"verdict": None, "stable": None})
        usable, stable = judgement["verdict"] in USABLE, judgement["stable"] is True
        if usability is not None and not usable and not (stable and rows):
            why = "not usable, and nothing was measured" if stable else UNSTABLE
            step = {"decision": "none", "why": why}
        about = {"basis": basis, "usability": judgement["verdict"], "stable": judgement["stable"]}
        about |= {"revenue_share": share}
        steps.append({"segment": segment, "segment_name": name, **step, **about})
    table = pl.DataFrame(steps, schema=STEPS).sort(
        pl.col("decision").cast(pl.Enum(DECISIONS)),
        -pl.col("monthly").fill_null(0.0),
        maintain_order=True,
    )
    return NextSteps(table, usual, overall, level, currency)


def _largest_first(segments: pl.DataFrame) -> pl.DataFrame:
    """Return segment, segment_name and revenue_share (null if not known), most revenue first."""
    if "revenue_share" not in segments.columns:
        segments = segments.with_columns(revenue_share=pl.lit(None, pl.Float64))
    size = ("revenue_share", "customers")
    largest = segments.sort(size, descending=True, nulls_last=True, maintain_order=True)
    return largest.select("segment", "segment_name", "revenue_share")


def _by_length(rows: Sequence[Row]) -> list[Row]:
    """Sort tests: what can be settled comes first, the shortest test before all."""
    return sorted(rows, key=lambda row: (row["test_customers"] is None, row["test_months"] or 0))


def _segment_of(name: str, segments: pl.DataFrame) -> str:
    """Return a segment's id, given its id or its name."""
    matches = segments.filter((pl.col("segment") == name) | (pl.col("segment_name") == name))
    if matches.height != 1:
        names = ", ".join(segments["segment_name"])
        raise ParameterError(f"unknown segment {name!r} in a comparison; the segments are {names}")
    return str(matches["segment"].item())


def _decide(rows: Sequence[Row], usual: str, learnt: str | None = None) -> Row:
    """Decide for one segment by its comparisons; learnt: the offer to be tested first."""
    pairs = {(row["offer"], row["against"]): row for row in rows}
    base = usual if any(usual in pair for pair in pairs) else NO_OFFER
    tried = sorted({offer for offer, _ in pairs if offer != usual})
    better = {offer: pairs.get((offer, base), UNTRIED) for offer in tried}
    paying = {offer: pairs.get((offer, NO_OFFER), UNTRIED) for offer in tried}
    own = pairs.get((usual, NO_OFFER), UNTRIED)
    best = max(tried, key=lambda one: _profit(paying[one]), default=NO_OFFER)
    proven = find_proven(rows, usual)
    if proven is not None:
        why = f"{words(proven['offer'])} is shown to earn more than {words(base)}"
        return _step("roll out", proven["offer"], proven, why)
    # From here on nothing tried is shown to earn more than what is sent now.
    payers = [o for o in tried if paying[o]["shown"] == "gain" and _profit(better[o]) >= 0]
    if payers and base != NO_OFFER and own["shown"] != "gain":
        offer = max(payers, key=lambda one: _profit(paying[one]))
        state = "is shown to lose money" if own["shown"] == "loss" else "is not shown to"
        why = f"{words(offer)} is shown to pay, {words(usual)} {state}"
        return _step("change", offer, better[offer], why)
    if own["shown"] == "loss":
        why = f"{words(usual)} is shown to lose money, and nothing tried is shown to pay"
        return _step("stop", NO_OFFER, own, why)
    if tried and base == NO_OFFER and all(row["shown"] == "loss" for row in paying.values()):
        why = f"{join_words([words(one) for one in tried])}: shown to lose money"
        return _step("stop", NO_OFFER, paying[best], why)
    if own["shown"] == "gain":
        why = f"{words(usual)} is shown to pay, and nothing tried is shown to earn more"
        return _step("keep", usual, own, why) | _test_of(_doubts(better, own, learnt))[1]
    doubts = _doubts(better, own, learnt) + ([own] if own["shown"] == "" else [])
    # Nothing tried did better, and what is sent now was not compared with nothing: the best one.
    doubt, test = _test_of(doubts or [max(rows, key=_profit)])
    why = f"whether {words(doubt['offer'])} earns more than {words(doubt['against'])} is open"
    if doubt["profit_low"] is None:
        why += ", for too few bought"
    elif doubt["profit_low"] > 0 or doubt["profit_high"] < 0:
        why += ", for it is clear by itself alone, not with all comparisons allowed for"
    lower = [o for o, row in better.items() if row["shown"] in ("", "loss")]
    lower = [words(o) for o in lower if not _is_promising(better[o], learnt)]
    if lower:
        why += f"; {join_words(lower)} did no better than {words(base)}"
    return _step("keep testing", base, doubt, why) | test


def _is_promising(row: Row, learnt: str | None) -> bool:
    return row["shown"] == "" and (_profit(row) > 0 or row["offer"] == learnt)


def _doubts(better: Mapping[str, Row], own: Row, learnt: str | None) -> list[Row]:
    """Return the comparisons of what may earn more than the usual offer, the best first."""
    if learnt == NO_OFFER and own["shown"] == "":  # whether to send anything comes first
        return []
    doubts = [row for row in better.values() if _is_promising(row, learnt)]
    first = [row for row in doubts if row["offer"] == learnt]
    return first or sorted(doubts, key=_profit, reverse=True)


def _profit(row: Row) -> float:
    return -math.inf if row["profit"] is None else float(row["profit"])


def _step(decision: Decision, offer: str, row: Row, why: str) -> Row:
    """Return a decision with the money that it brings; to stop brings what is not lost."""
    money_of = {end: row[f"profit{end}"] for end in ENDS}
    against = row["against"]
    if decision == "stop":
        turned = dict(zip(ENDS, (money_of[end] for end in ("", "_high", "_low")), strict=True))
        money_of = {end: None if amount is None else -amount for end, amount in turned.items()}
        against = row["offer"]
    step = {"decision": decision, "offer": offer, "against": against, "reach": row["reach"]}
    for end, amount in money_of.items():
        step[f"profit{end}"] = amount
        step[f"monthly{end}"] = None if amount is None else amount * row["reach"]
    return step | {"why": why}


def _test_of(doubts: Sequence[Row]) -> tuple[Row, Row]:
    """Return the first comparison that a year of campaigns would settle, or the first; its test.

    A comparison whose arms are too small for an interval has no size.
    """
    tests = [({"test_offer": row["offer"], "test_against": row["against"]}, row) for row in doubts]
    for test, row in tests:
        if not row["sd"] or not row["profit"] or not row["reach"]:
            continue
        with suppress(DataError, ParameterError):  # more customers than there can be
            metric, effect = mean(0.0, row["sd"]), abs(row["profit"])
            needed = compute_sample_size(metric, effect=effect, shares=HALVES).total
            months = math.ceil(needed / row["reach"])
            if months <= LONGEST_TEST:
                return row, test | {"test_customers": needed, "test_months": months}
    return (tests[0][1], tests[0][0]) if tests else ({}, {})


def _suggest(idea: str, usual: str, needed: int | None) -> Row:
    """Suggest a first test where nothing was measured."""
    return {
        "decision": "start testing",
        "offer": usual,
        "why": "nothing was measured here; the offer is a guess from the profile",
        "test_offer": idea,
        "test_against": NO_OFFER if idea == usual else usual,
        "test_customers": needed,
    }
