"""What to do next with each segment: roll out, keep, change, test or stop, by measured profit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.metrics import mean
from segkit.campaign.offer_profits import PROFITS, USUAL, find_proven
from segkit.campaign.pilot import words
from segkit.campaign.power import compute_sample_size
from segkit.display import MOST_WORDS, counted, join_words, money, number
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.lift.verdicts import ALL
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words

Decision = Literal["roll out", "change", "stop", "keep", "keep testing", "start testing", "none"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
DECIDED: tuple[Decision, ...] = DECISIONS[:4]
CHANGING: tuple[Decision, ...] = DECISIONS[:3]  # what is sent from now on differs
ENDS = ("", "_low", "_high")
BASES = ("campaign", "pilot", "profile")  # the first that says something of a segment counts
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
    "why": pl.String,
}
Row = dict[str, Any]


def _by_length(rows: Sequence[Row]) -> list[Row]:
    """Sort tests: what can be settled comes first, the shortest test before all."""
    return sorted(rows, key=lambda row: (row["test_customers"] is None, row["test_months"] or 0))


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
        (for all within reach, one campaign a month) with _low and _high, the test that would
        settle what is open (test_offer, test_against, test_customers in two halves, test_months;
        null where nothing is open or no test of a year would), usability, stable, why.
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
        low, high = (
            math.sqrt(math.fsum((row["monthly"] - row[f"monthly_{end}"]) ** 2 for row in rows))
            for end in ("low", "high")
        )
        return total, total - low, total + high

    @property
    def text(self) -> str:
        """The decisions in words, what they rest on, and how they go with usability."""
        parts = [self._decided(), self._testing(), self._left_alone(), self._reconciled()]
        parts += [self._basis(), self._month()]
        return " ".join(part for part in parts if part)

    @property
    def answer(self) -> str:
        """The decisions in one sentence; how many they are, where naming them takes too long."""
        if len(self.headline.split()) <= MOST_WORDS:
            return self.headline
        total, changing, keeping = self.monthly, self.choose(*CHANGING), self.choose("keep")
        tests = self.choose("keep testing", "start testing")
        if not changing and not keeping:
            return self._first_test(tests, with_size=False) if tests else self.headline
        segments = counted(self.table.height, "segment")
        if total is None:
            share = f"{number(len(changing or keeping))} of {segments}"
            return (
                f"Change what {share} get."
                if changing
                else f"Keep {words(self.usual)} for {share}."
            )
        share = f"{number(len(changing))} of {segments}"
        return f"Change what {share} get: added profit {self._a_month(*total)}."

    def _a_month(self, value: float, low: float, high: float) -> str:
        ends = ci_words(round(low), round(high), self.level)
        return f"{money(round(value), self.currency)} a month ({ends})"

    def _decided(self) -> str:
        rolled = [f"{words(r['offer'])} to {r['segment_name']}" for r in self.choose("roll out")]
        changed = [f"{words(r['offer'])} for {r['segment_name']}" for r in self.choose("change")]
        stopped = [row["segment_name"] for row in self.choose("stop")]
        steps = {"roll out": rolled, "change to": changed, "stop contacting": stopped}
        actions = [f"{verb} {join_words(what)}" for verb, what in steps.items() if what]
        parts = []
        if actions:
            sentence = "; ".join(actions)
            total = self.monthly
            worth = f": added profit {self._a_month(*total)}" if total else ""
            parts.append(f"{sentence[0].upper()}{sentence[1:]}{worth}.")
        rows_to_keep = self.choose("keep")
        if rows_to_keep:
            each = [
                f"{row['segment_name']}, {self._a_month(*(row[f'monthly{e}'] for e in ENDS))}"
                for row in rows_to_keep
            ]
            parts.append(f"Keep {words(self.usual)}, which is shown to pay: {'; '.join(each)}.")
        return " ".join(parts)

    def _testing(self) -> str:
        rows = self.choose("keep testing", "start testing")
        if not rows:
            return ""
        if self.choose(*DECIDED):
            return f"Not decided: test {'; '.join(map(self._test, _by_length(rows)))}."
        further = [self._test(row) for row in _by_length(rows)[1:]]
        more = f" Further tests: {'; '.join(further)}." if further else ""
        return self._first_test(rows) + more

    def _first_test(self, rows: Sequence[Row], *, with_size: bool = True) -> str:
        measured = any(row["basis"] != "profile" for row in rows)
        state = "No offer is shown to pay yet" if measured else "No offer has been tested yet"
        return f"{state}: first test {self._test(_by_length(rows)[0], with_size=with_size)}."

    def _test(self, row: Row, *, with_size: bool = True) -> str:
        offers = f"{words(row['test_offer'])} against {words(row['test_against'])}"
        offers += f" for {row['segment_name']}"
        size = "no test of a year would settle it"
        if row["test_customers"] is not None:
            size = counted(row["test_customers"], "customer")
            if row["test_months"] is not None:
                size += f", {counted(row['test_months'], 'month')}"
        elif row["basis"] == "profile":
            size = "as large as the campaign allows"
        return f"{offers} ({size})" if with_size else offers

    def _left_alone(self) -> str:
        rows = self.choose("none")
        if not rows:
            return ""
        reasons: dict[str, list[str]] = {}
        for row in rows:
            reasons.setdefault(row["why"], []).append(row["segment_name"])
        if len(rows) < self.table.height:
            each = "; ".join(f"{join_words(names)}: {why}" for why, names in reasons.items())
            return f"No message of their own for {each}."
        alike = "Treat all customers alike: no segment is " + (
            "stable or usable" if list(reasons) == [UNSTABLE] else "usable, and nothing is measured"
        )
        if self.overall is None or self.overall["profit"] is None:
            return f"{alike}, so none gets a message of its own."
        low, high = self.overall["profit_low"], self.overall["profit_high"]
        verdict = "whether it pays is undecided"
        if low is not None and high is not None and (low > 0 or high < 0):
            verdict = "it pays" if low > 0 else "it loses money"
        value = money(self.overall["profit"], self.currency)
        ends = "" if low is None or high is None else f" ({ci_words(low, high, self.level)})"
        return (
            f"{alike}. Over all of them {words(self.usual)} added {value} a customer{ends}: "
            f"{verdict}."
        )

    def _reconciled(self) -> str:
        """Say why an offer won in a segment that the profile does not call usable."""
        names = [
            row["segment_name"]
            for row in self.choose(*DECIDED)
            if row["usability"] is not None and row["usability"] not in USABLE
        ]
        if not names:
            return ""
        verb = "is" if len(names) == 1 else "are"
        return (
            f"{join_words(names)} {verb} not shown usable by the profile, which judges size, "
            "reach and spend before any offer is tried; a profit measured since then decides."
        )

    def _basis(self) -> str:
        named = {
            "campaign": "measured in the campaign",
            "pilot": "measured in the pilot alone",
            "profile": "suggested by the profile, where nothing was measured",
        }
        decided = self.table.filter(pl.col("decision") != "none")
        rows = {basis: decided.filter(basis=basis)["segment_name"].to_list() for basis in BASES}
        parts = [f"{named[basis]}: {join_words(names)}" for basis, names in rows.items() if names]
        return f"What this rests on: {'; '.join(parts)}." if parts else ""

    def _month(self) -> str:
        if self.monthly is None:
            return ""
        return (
            "A month is one such campaign to all who may be contacted, with the profit of its "
            "window. Offers that did best also had luck: expect somewhat less."
        )

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
        labels = [
            f"{row['segment_name']}: {row['decision']}, {words(row['test_offer'] or row['offer'])}"
            if "test" in row["decision"]
            else f"{row['segment_name']}: {row['decision']}, {words(row['offer'])}"
            for row in measured.iter_rows(named=True)
        ]
        return intervals(
            measured.with_columns(step=pl.Series(labels)),
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
        segment, segment_name, customers: `Profile.segments`.
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
    2. one shown to pay that earned no less than the usual one, which is not: change to it;
    3. the usual one shown to lose money (or all that was tried, without a usual one): stop;
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
    there = segments.filter(pl.col("customers") > 0)
    if there.is_empty():
        raise DataError("no segment holds a customer, so there is nothing to decide")
    overall: dict[str, float | None] | None = None
    comparisons: dict[str, dict[str, list[Row]]] = {}
    for basis, frame in (("campaign", campaign), ("pilot", pilot)):
        if frame is None:
            continue
        require_columns(frame.columns, list(PROFITS), f"the {basis}'s comparisons")
        for row in frame.iter_rows(named=True):
            if row["segment"] == ALL:
                overall = {name: row[name] for name in ("profit", "profit_low", "profit_high")}
                continue
            segment = _segment_of(row["segment"], segments)
            comparisons.setdefault(segment, {}).setdefault(basis, []).append(row)
    judged: dict[str, Row] = {}
    if usability is not None:
        require_columns(usability.columns, ["segment", "verdict", "stable"], "usability")
        judged = {row["segment"]: row for row in usability.iter_rows(named=True)}
    sizes: dict[str, int | None] = {}
    if power is not None:
        require_columns(power.columns, ["segment", "needed"], "power")
        sizes = dict(power.select("segment", "needed").iter_rows())
    learnt = {_segment_of(name, segments): offer for name, offer in (next_round or {}).items()}
    rows = []
    for segment, name in there.select("segment", "segment_name").iter_rows():
        measured = comparisons.get(segment, {})
        basis = next((one for one in BASES if one in measured), BASES[-1])
        step = (
            _decide(measured[basis], usual, learnt.get(segment))
            if basis in measured
            else _suggest((ideas or {}).get(segment, usual), usual, sizes.get(segment))
        )
        judgement = judged.get(segment, {})
        step |= {"basis": basis, "stable": judgement.get("stable")}
        step |= {"usability": judgement.get("verdict")}
        if usability is not None:
            step = _gate(step)
        rows.append({"segment": segment, "segment_name": name, **step})
    table = pl.DataFrame(rows, schema=STEPS)
    place = {name: i for i, name in enumerate(DECISIONS)}
    table = table.sort(
        pl.col("decision").replace_strict(place),
        -pl.col("monthly").fill_null(0.0),
        maintain_order=True,
    )
    return NextSteps(table, usual, overall, level, currency)


def _segment_of(name: str, segments: pl.DataFrame) -> str:
    """Return a segment's id, given its id or its name."""
    matches = segments.filter((pl.col("segment") == name) | (pl.col("segment_name") == name))
    if matches.height != 1:
        names = ", ".join(segments["segment_name"])
        raise ParameterError(f"a comparison is of segment {name!r}; the segments are {names}")
    return str(matches["segment"].item())


def _decide(rows: Sequence[Row], usual: str, learnt: str | None = None) -> Row:
    """Decide for one segment by its comparisons; learnt: the offer to be tested first."""
    pairs = {(row["offer"], row["against"]): row for row in rows}
    base = usual if any(usual in pair for pair in pairs) else NO_OFFER
    tried = sorted({offer for offer, _ in pairs if offer != usual})
    better = {offer: pairs.get((offer, base)) for offer in tried}
    paying = {offer: pairs.get((offer, NO_OFFER)) for offer in tried}
    own = pairs.get((usual, NO_OFFER))
    proven = find_proven(rows, usual)
    if proven is not None:
        why = f"{words(proven['offer'])} is shown to earn more than {words(base)}"
        return _step("roll out", proven["offer"], proven, why)
    # From here on nothing tried is shown to earn more than what is sent now.
    payers = [o for o in tried if _shown(paying[o]) == "gain" and _profit(better[o]) >= 0]
    if payers and base != NO_OFFER and _shown(own) != "gain":
        offer = max(payers, key=lambda one: _profit(paying[one]))
        state = "is shown to lose money" if _shown(own) == "loss" else "is not shown to"
        why = f"{words(offer)} is shown to pay, {words(usual)} {state}"
        return _step("change", offer, better[offer], why)
    if _shown(own) == "loss":
        why = f"{words(usual)} is shown to lose money, and nothing tried is shown to pay"
        return _step("stop", NO_OFFER, own, why, turned=True)
    if tried and all(_shown(paying[o]) == "loss" for o in tried) and base == NO_OFFER:
        offer = max(tried, key=lambda one: _profit(paying[one]))
        why = f"{join_words([words(one) for one in tried])}: shown to lose money"
        return _step("stop", NO_OFFER, paying[offer], why, turned=True)
    promising, doubts = _doubts(better, own, learnt)
    if _shown(own) == "gain":
        why = f"{words(usual)} is shown to pay, and nothing tried is shown to earn more"
        return _step("keep", usual, own, why) | _test_of(doubts)
    if _shown(own) == "":
        doubts.append(own)
    if not doubts:  # nothing tried did better, and what is sent now was not compared with nothing
        doubts = [max(rows, key=_profit)]
    test = _test_of(doubts)
    doubt = next(row for row in doubts if row is not None and _pair(row) == _pair(test, "test_"))
    why = f"whether {words(doubt['offer'])} earns more than {words(doubt['against'])} is open"
    why += _why_open(doubt)
    lower = [o for o in tried if _shown(better[o]) in ("", "loss") and o not in promising]
    if lower:
        why += f"; {join_words([words(one) for one in lower])} did no better than {words(base)}"
    return _step("keep testing", base, doubt, why) | test


def _why_open(doubt: Row) -> str:
    if doubt["profit_low"] is None:
        return ", for too few bought"
    if doubt["profit_low"] > 0 or doubt["profit_high"] < 0:
        return ", for it is clear by itself alone, not with all comparisons allowed for"
    return ""


def _doubts(
    better: Mapping[str, Row | None], own: Row | None, learnt: str | None
) -> tuple[list[str], list[Row | None]]:
    """Return the offers that may earn more than the usual one, and what to test of them."""
    promising = [
        offer
        for offer, row in better.items()
        if _shown(row) == "" and (_profit(row) > 0 or offer == learnt)
    ]
    promising.sort(key=lambda one: -_profit(better[one]))
    if learnt == NO_OFFER and _shown(own) == "":  # whether to send anything comes first
        return promising, []
    return promising, [better[one] for one in ([learnt] if learnt in promising else promising)]


def _pair(row: Row, prefix: str = "") -> tuple[str, str]:
    return row[f"{prefix}offer"], row[f"{prefix}against"]


def _shown(row: Row | None) -> str:
    return str(row["shown"]) if row is not None else "unknown"


def _profit(row: Row | None) -> float:
    return float(row["profit"]) if row is not None and row["profit"] is not None else -math.inf


def _step(
    decision: Decision, offer: str, row: Row | None, why: str, *, turned: bool = False
) -> Row:
    """Return a decision with the money that it brings; turned: not contacting is what brings it."""
    assert row is not None  # noqa: S101 - narrows the type
    value, low, high = row["profit"], row["profit_low"], row["profit_high"]
    against = row["against"]
    if turned:
        value, low, high = (None if x is None else -x for x in (value, high, low))
        against = row["offer"]
    step = {"decision": decision, "offer": offer, "against": against, "reach": row["reach"]}
    for end, amount in zip(ENDS, (value, low, high), strict=True):
        step[f"profit{end}"] = amount
        step[f"monthly{end}"] = None if amount is None else amount * row["reach"]
    return step | {"why": why}


def _test_of(doubts: Sequence[Row | None]) -> Row:
    """Return the test of the first comparison that a year of campaigns would settle, or the first.

    A comparison whose arms are too small for an interval has no size.
    """
    tests: list[Row] = []
    for row in doubts:
        if row is None:
            continue
        tests.append({"test_offer": row["offer"], "test_against": row["against"]})
        if not row["sd"] or not row["profit"] or not row["reach"]:
            continue
        try:
            needed = compute_sample_size(
                mean(0.0, row["sd"]), effect=abs(row["profit"]), shares=HALVES
            ).total
        except (DataError, ParameterError):  # more customers than there can be
            continue
        months = math.ceil(needed / row["reach"])
        if months <= LONGEST_TEST:
            return tests[-1] | {"test_customers": needed, "test_months": months}
    return tests[0] if tests else {}


def _suggest(idea: str, usual: str, needed: int | None) -> Row:
    """Suggest a first test where nothing was measured."""
    against = NO_OFFER if idea == usual else usual
    why = "nothing was measured here; the offer is a guess from the profile"
    step: Row = {"decision": "start testing", "offer": usual, "why": why}
    return step | {"test_offer": idea, "test_against": against, "test_customers": needed}


def _gate(step: Row) -> Row:
    """Recommend nothing for a segment that is neither stable nor usable."""
    usable, stable = step["usability"] in USABLE, step["stable"] is True
    if usable or (stable and step["basis"] != "profile"):
        return step
    why = UNSTABLE if not stable else "not usable, and nothing was measured"
    same = ("basis", "usability", "stable")
    return {"decision": "none", "why": why, **{name: step[name] for name in same}}
