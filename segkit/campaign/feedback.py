"""Feedback of campaigns: response against expectation, and thresholds that it speaks against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import NO_OFFER, name_segments
from segkit.campaign.eligibility import check_customers
from segkit.campaign.pilot import words
from segkit.display import counted, label, number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values
from segkit.result import Result
from segkit.rfm import Cuts
from segkit.rfm.cuts import COLUMNS
from segkit.rules import RuleSet
from segkit.rules.conditions import Comparison, atoms
from segkit.stats.hashing import unit_hash
from segkit.stats.intervals import Estimate, ci_words
from segkit.stats.two_part import compare_outcomes

Array = npt.NDArray[np.float64]
ABOVE, BELOW, UNDECIDED = "above expectation", "below expectation", "undecided"
SAME, FEW, NEW = "no relevant difference", "too few", "no expectation"
LEAST = 30  # customers of a group whose response is compared
CANDIDATES = 60
PROPOSE, KEEP = "propose", "keep"


@dataclass(frozen=True, slots=True, eq=False)
class CampaignFeedback(Result):
    """Response to a campaign compared with what was expected, or across thresholds.

    Attributes
    ----------
    table : polars.DataFrame
        Of `compare_response`, one row per cell with an offer: segment, segment_name, offer, basis
        ("lift" where both tests have customers without an offer, else "response"), customers,
        customers_before, value, expected, gap with low and high, verdict. Of `propose_thresholds`,
        one row per threshold: column, threshold, customers_below, customers_above, below, above
        (response of each side), difference with low and high, proposed (null if the threshold
        stays), moved (customers between the threshold and the proposed one), moved_response,
        own_side (response of the other customers on their present side), other_side (response on
        the side that they would move to), gap_low, gap_high, verdict.
    finding : str
        The table in words.
    """

    table: pl.DataFrame
    finding: str

    @property
    def text(self) -> str:
        """The finding."""
        return self.finding


@takes_frames
def compare_response(
    outcomes: pl.DataFrame,
    expected: pl.DataFrame,
    *,
    outcome: str = "converted",
    margin: float = 0.0,
    level: float = 0.95,
) -> CampaignFeedback:
    """Compare the response of a campaign, by segment and offer, with an earlier test.

    If both tests have customers without an offer in the segment, lifts are compared, which removes
    the effect of season; otherwise the responses are compared. The intervals include the error of
    the earlier test.

    Parameters
    ----------
    outcomes : DataFrame
        The campaign: customer_id, segment, offer, the outcome; segment_name where known.
    expected : DataFrame
        The pilot or the last campaign, with the same columns.
    outcome : str
        0/1 or an amount per customer, in windows of the same length.
    margin : float
        Differences up to this are not relevant.
    level : float
        Of all intervals together.

    Returns
    -------
    CampaignFeedback

    Raises
    ------
    ColumnError, DataError
        If a column or value is missing, a customer comes twice, or nobody got an offer.

    References
    ----------
    Zou, G. Y. and Donner, A. (2008), "Construction of confidence limits about effect measures",
    Statistics in Medicine 27 (limits of a difference from those of its parts).

    Examples
    --------
    >>> ids = [str(i) for i in range(400)]
    >>> now = pl.DataFrame({"customer_id": ids, "segment": "A", "offer": ["sale"] * 400,
    ...     "converted": [1] * 20 + [0] * 380})
    >>> pilot = now.with_columns(converted=pl.Series([1] * 60 + [0] * 340))
    >>> compare_response(now, pilot).table["verdict"].to_list()
    ['below expectation']
    """
    tests = [
        _values(frame, outcome, name)
        for frame, name in ((outcomes, "the campaign"), (expected, "the earlier test"))
    ]
    now, before = tests
    offered = sorted(cell for cell in now if cell[1] != NO_OFFER)
    if not offered:
        raise DataError("nobody of the campaign got an offer: there is no response to compare")
    compared = [cell for cell in offered if cell in before]
    simultaneous = 1 - (1 - level) / max(len(compared), 1)
    titled = "segment_name" if "segment_name" in outcomes.columns else None
    names = name_segments(outcomes, "segment", titled)
    rows = []
    for cell in offered:
        control = (cell[0], NO_OFFER)
        lift = all(len(test.get(control, ())) > 1 for test in tests)
        sizes = (len(now[cell]), len(before.get(cell, ())))
        about = (cell[0], names[cell[0]], cell[1], "lift" if lift else "response", *sizes)
        if cell not in before:
            rows.append((*about, float(now[cell].mean()), *[None] * 4, NEW))
            continue
        parts = [test[cell].mean() - (test[control].mean() if lift else 0.0) for test in tests]
        gap = _gap(tests, cell, control if lift else None, simultaneous)
        verdict = FEW if min(sizes) < LEAST or np.isnan(gap.low) else _verdict(gap, margin)
        limits = (None, None) if np.isnan(gap.low) else (float(gap.low), float(gap.high))
        rows.append((*about, *map(float, parts), float(gap.value), *limits, verdict))
    schema = {
        **dict.fromkeys(("segment", "segment_name", "offer", "basis"), pl.String),
        **dict.fromkeys(("customers", "customers_before"), pl.Int64),
        **dict.fromkeys(("value", "expected", "gap", "low", "high"), pl.Float64),
        "verdict": pl.String,
    }
    every = np.concatenate([values for test in tests for values in test.values()])
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return CampaignFeedback(table, _describe_response(table, outcome, _writer(every), level))


@takes_frames
def propose_thresholds(
    outcomes: pl.DataFrame,
    thresholds: Cuts | RuleSet | Mapping[str, Sequence[float]],
    *,
    outcome: str = "converted",
    level: float = 0.95,
    seed: int = 0,
) -> CampaignFeedback:
    """Compare the response on either side of each threshold, and propose others with evidence.

    Customers near a threshold are split in two halves by a hash of their id. The first half finds
    the threshold that separates high from low response best; the second half tests it. It is
    proposed if the customers who would change sides respond clearly differently from those who stay
    on their side, and more like the other side. If response does not depend on any column, a
    threshold is proposed with a probability of at most 1 - ``level`` (Bonferroni).

    Parameters
    ----------
    outcomes : DataFrame
        customer_id, the outcome, and the thresholds' columns as of the assignment. Customers whose
        column ``offer`` is "none" are left out.
    thresholds : Cuts, RuleSet or mapping
        RFM cut-points; rules, whose comparisons of columns with numbers are taken; or column to
        thresholds (a value at a threshold is above it).
    outcome : str
    level : float
    seed : int
        Of the halves.

    Returns
    -------
    CampaignFeedback

    Raises
    ------
    ColumnError, DataError
        If a column or value is missing, or a customer comes twice.
    ParameterError
        If there is no threshold.

    Examples
    --------
    >>> n = 4000
    >>> days = [i % 100 for i in range(n)]
    >>> frame = pl.DataFrame({"customer_id": [str(i) for i in range(n)], "recency_days": days,
    ...     "converted": [int(d < 60 and i % 3 == 0) for i, d in enumerate(days)]})
    >>> found = propose_thresholds(frame, {"recency_days": [40]})
    >>> found.table.select("threshold", "verdict").row(0)
    (40.0, 'propose')
    """
    by_column = _thresholds(thresholds)
    if not by_column:
        raise ParameterError("expected at least one threshold, got none")
    check_customers(outcomes)
    require_columns(outcomes.columns, [outcome, *by_column], "the campaign")
    frame = outcomes
    if "offer" in frame.columns:
        frame = frame.filter(pl.col("offer") != NO_OFFER)
    simultaneous = 1 - (1 - level) / sum(map(len, by_column.values()))
    y = finite_values(frame, outcome)
    learn = unit_hash(frame["customer_id"].cast(pl.String), seed, "thresholds") < 0.5
    rows = []
    for column, points in by_column.items():
        x = frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for low, threshold, high in zip(
            [-np.inf, *points[:-1]], points, [*points[1:], np.inf], strict=True
        ):
            near = (x >= low) & (x < high)
            row = _judge(x[near], y[near], learn[near], threshold, simultaneous)
            rows.append({"column": column, "threshold": threshold, **row})
    schema = {
        "column": pl.String,
        "threshold": pl.Float64,
        **dict.fromkeys(("customers_below", "customers_above"), pl.Int64),
        **dict.fromkeys(("below", "above", "difference", "low", "high", "proposed"), pl.Float64),
        "moved": pl.Int64,
        **dict.fromkeys(
            ("moved_response", "own_side", "other_side", "gap_low", "gap_high"), pl.Float64
        ),
        "verdict": pl.String,
    }
    table = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col(pl.Float64).fill_nan(None)
    )
    return CampaignFeedback(table, _describe_thresholds(table, _writer(y), level))


def _writer(values: Array) -> Callable[[float], str]:
    return percent if np.isin(values, (0.0, 1.0)).all() else number


def _describe_response(
    cells: pl.DataFrame, outcome: str, write: Callable[[float], str], level: float
) -> str:
    """Say in which cells the response differs clearly, and by how much."""
    compared = cells.filter(pl.col("verdict") != NEW)
    clear = compared.filter(pl.col("verdict").is_in([ABOVE, BELOW]))
    head = (
        f"In {number(clear.height)} of {counted(compared.height, 'pair')} of segment and offer, "
        f"{label(outcome)} differs clearly from what was expected"
    )
    parts = [
        f"{row['segment_name']} with {words(row['offer'])} {write(row['value'])} instead of "
        f"{write(row['expected'])} (difference "
        f"{ci_words(row['low'], row['high'], level, write)})"
        for row in clear.iter_rows(named=True)
    ]
    new = cells.height - compared.height
    tail = f" {counted(new, 'pair')} had no earlier test." if new else ""
    return (
        f"{head}{': ' if parts else ''}{'; '.join(parts)}. The intervals hold all at once; "
        f"windows of equal length are assumed.{tail}"
    )


def _describe_thresholds(
    thresholds: pl.DataFrame, write: Callable[[float], str], level: float
) -> str:
    """Say which thresholds could be moved, and on what evidence."""
    chosen = thresholds.filter(verdict=PROPOSE)
    total = counted(thresholds.height, "threshold")
    if not chosen.height:
        return f"The response speaks against none of {total}."
    parts = [
        f"{row['column'].replace('_', ' ')} {number(row['proposed'])} instead of "
        f"{number(row['threshold'])}: the {counted(row['moved'], 'customer')} between them "
        f"respond with {write(row['moved_response'])}, the rest of their side with "
        f"{write(row['own_side'])}, the other side with {write(row['other_side'])} (difference "
        f"from their side {ci_words(row['gap_low'], row['gap_high'], level, write)})"
        for row in chosen.iter_rows(named=True)
    ]
    return (
        f"{number(chosen.height)} of {total} could be moved. {'; '.join(parts)}. These are "
        "proposals: nothing is changed. Each was learnt on one half of the customers and "
        "tested on the other; the intervals hold all at once."
    )


def _values(frame: pl.DataFrame, outcome: str, name: str) -> dict[tuple[str, str], Array]:
    """Return the outcomes of each segment and offer."""
    require_columns(frame.columns, ["customer_id", "segment", "offer", outcome], name)
    check_customers(frame)
    ready = frame.select(
        pl.col("segment", "offer").cast(pl.String), y=pl.Series(finite_values(frame, outcome))
    ).drop_nulls(["segment", "offer"])
    parts = ready.partition_by("segment", "offer", as_dict=True)
    return {(str(s), str(o)): part["y"].to_numpy() for (s, o), part in parts.items()}


def _gap(
    tests: Sequence[Mapping[tuple[str, str], Array]],
    cell: tuple[str, str],
    control: tuple[str, str] | None,
    level: float,
) -> Estimate:
    """Estimate the difference of two responses, or of two lifts from the limits of each."""
    if control is None:
        return compare_outcomes(tests[0][cell], tests[1][cell], level=level)
    one, two = (compare_outcomes(t[cell], t[control], level=level) for t in tests)
    value = one.value - two.value
    low = value - np.hypot(one.value - one.low, two.high - two.value)
    high = value + np.hypot(one.high - one.value, two.value - two.low)
    return Estimate(value, low, high, level, "limits of both lifts")


def _verdict(gap: Estimate, margin: float) -> str:
    if gap.low > margin:
        return ABOVE
    if gap.high < -margin:
        return BELOW
    return SAME if -margin <= gap.low and gap.high <= margin else UNDECIDED


def _thresholds(given: Cuts | RuleSet | Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return column to ascending thresholds; a value at one is above it."""
    if isinstance(given, Cuts):
        given = {column: getattr(given, name) for name, column in COLUMNS.items()}
    elif isinstance(given, RuleSet):
        points: dict[str, list[float]] = {}
        for rule in given.rules:
            for atom in atoms(rule.condition):
                if isinstance(atom, Comparison) and type(atom.value) in (int, float):
                    value = float(atom.value)  # type: ignore[arg-type]
                    after = atom.operator in ("<=", ">")  # the constant itself lies below
                    exact = float(np.nextafter(value, np.inf)) if after else value
                    points.setdefault(atom.column, []).append(exact)
        given = points
    return {
        column: sorted({float(v) for v in values})
        for column, values in given.items()
        if len(values)
    }


def _judge(
    x: Array, y: Array, learn: npt.NDArray[np.bool_], threshold: float, level: float
) -> dict[str, float | int | str | None]:
    """Compare both sides of a threshold, and test the one that half of the customers would set."""
    above = x >= threshold
    sides = compare_outcomes(y[above], y[~above], level=level)
    row: dict[str, float | int | str | None] = {
        "customers_below": int((~above).sum()),
        "customers_above": int(above.sum()),
        "below": float(y[~above].mean()) if (~above).any() else None,
        "above": float(y[above].mean()) if above.any() else None,
        "difference": float(sides.value),
        "low": float(sides.low),
        "high": float(sides.high),
    }
    if min((~above).sum(), above.sum()) < 2 * LEAST:
        return row | {"verdict": FEW}
    best = _best_cut(x[learn], y[learn], threshold)
    if best == threshold:
        return row | {"verdict": KEEP}
    x, y = x[~learn], y[~learn]
    above, moved = x >= threshold, (x >= min(best, threshold)) & (x < max(best, threshold))
    same_side = ~moved & (above if best > threshold else ~above)
    other_side = ~above if best > threshold else above
    if min(moved.sum(), same_side.sum(), other_side.sum()) < LEAST:
        return row | {"verdict": KEEP}
    gap = compare_outcomes(y[moved], y[same_side], level=level)
    means = [float(y[group].mean()) for group in (moved, same_side, other_side)]
    clear = gap.low > 0 or gap.high < 0
    nearer = abs(means[0] - means[2]) < abs(means[0] - means[1])
    return row | {
        "proposed": best if clear and nearer else None,
        "moved": int(moved.sum()),
        **dict(zip(("moved_response", "own_side", "other_side"), means, strict=True)),
        "gap_low": float(gap.low),
        "gap_high": float(gap.high),
        "verdict": PROPOSE if clear and nearer else KEEP,
    }


def _best_cut(x: Array, y: Array, threshold: float) -> float:
    """Return the cut that parts responses best: the largest sum of squares between the sides."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    grid = np.unique(np.quantile(x, np.linspace(0, 1, CANDIDATES + 2)[1:-1], method="higher"))
    best, most = threshold, -np.inf
    total, n = y.sum(), len(y)
    sums = np.concatenate(([0.0], np.cumsum(y)))
    for cut in (threshold, *grid):
        k = int(np.searchsorted(x, cut, side="left"))
        if min(k, n - k) < LEAST:
            continue
        between = (sums[k] / k - (total - sums[k]) / (n - k)) ** 2 * k * (n - k) / n
        if between > most * (1 + 1e-12):
            best, most = float(cut), between
    return best
