"""Profit of each offer in each segment, measured in a campaign or in its pilot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.pilot import Pilot
from segkit.errors import DataError, require_columns
from segkit.frames import takes_frames
from segkit.lift import measure_lift, measure_profit
from segkit.lift.outcomes import Outcomes
from segkit.lift.verdicts import ALL
from segkit.stats.hypotheses import adjust
from segkit.stats.intervals import z_value

PROFITS: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("basis", "segment", "offer", "against"), pl.String),
    **dict.fromkeys(("customers_offer", "customers_against", "reach"), pl.Int64),
    **dict.fromkeys(("profit", "profit_low", "profit_high", "sd"), pl.Float64),
    "shown": pl.String,
}
USUAL = "generic"


@takes_frames
def compare_offers(
    outcomes: Outcomes | pl.DataFrame,
    *,
    margin: float,
    cost_per_contact: float,
    usual: str = USUAL,
    level: float = 0.95,
) -> pl.DataFrame:
    """Compare the profit of the offers within each segment of a campaign.

    Arms that gave a segment the same offer are pooled: they differ by chance alone. An arm that
    gave a segment several offers is compared as one arm. Customers chosen at random to try tied
    offers (``explores``) count for the offer that they got.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        arm, offer, segment, revenue and, where known, converted and emails_sent per customer.
    margin : float
        Share of revenue that is profit.
    cost_per_contact : float
    usual : str
        The offer that customers get without a campaign of their segment's own.
    level : float

    Returns
    -------
    polars.DataFrame
        One row per segment, offer and comparison (the usual offer, "none"; over "all customers" the
        usual offer against none): basis ("campaign"), customers of both, reach (customers of the
        segment in the campaign), profit (added per assigned customer) with profit_low and
        profit_high (null where too few bought), sd (of one customer's profit), shown ("gain" or
        "loss" where the difference is clear, else "").

    Notes
    -----
    A gain is shown where the profit's interval lies above zero and, so that the family of segments
    keeps its level, the adjusted p-value (Holm 1979) of either profit or conversion is below
    ``1 - level``, conversion being higher; a loss likewise.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["mail"] * 200 + ["none"] * 200, "segment": ["S1"] * 400,
    ...     "offer": ["generic"] * 200 + ["none"] * 200,
    ...     "revenue": [40.0] * 60 + [0.0] * 140 + [40.0] * 20 + [0.0] * 180})
    >>> found = compare_offers(rows, margin=0.5, cost_per_contact=0.1)
    >>> found.select("segment", "offer", "against", "shown").rows()[1]
    ('S1', 'generic', 'none', 'gain')
    """
    frame = outcomes.frame if isinstance(outcomes, Outcomes) else outcomes
    require_columns(frame.columns, ["arm", "offer", "segment", "revenue"], "the outcomes")
    drawn = pl.col("explores").fill_null(False) if "explores" in frame.columns else pl.lit(False)
    usual_offers = pl.when(drawn).then(None).otherwise("offer").drop_nulls()
    several = ~drawn & (usual_offers.n_unique().over("segment", "arm") > 1)
    frame = frame.with_columns(
        arm=pl.when(several).then("arm").otherwise("offer").cast(pl.String),
        segment=pl.col("segment").cast(pl.String),
    )
    reach = dict(frame.group_by("segment").len().iter_rows())
    offers = frame["arm"].unique().sort().to_list()
    parts = [pl.DataFrame(schema=PROFITS)]
    for against in (usual, NO_OFFER):
        others = [offer for offer in offers if offer not in (against, NO_OFFER)]
        if against in offers and others:
            costs = {offer: cost_per_contact * (offer != NO_OFFER) for offer in offers}
            parts.append(_compared(frame, against, others, margin, costs, level, reach))
    return pl.concat(parts).filter(
        (pl.col("segment") != ALL) | ((pl.col("offer") == usual) & (pl.col("against") == NO_OFFER))
    )


def find_proven(rows: Iterable[Mapping[str, Any]], usual: str = USUAL) -> dict[str, Any] | None:
    """Return the comparison of a segment's best offer that is shown to beat the usual one.

    Parameters
    ----------
    rows : iterable of mapping
        The comparisons of one segment, as of `compare_offers`.
    usual : str
        Where it was not tried, an offer is compared with none.

    Returns
    -------
    dict or None
        None where no offer is shown to, or where it is shown to lose against none.
    """
    pairs = {(row["offer"], row["against"]): row for row in rows}
    base = usual if any(usual in pair for pair in pairs) else NO_OFFER
    gains = [
        row
        for (offer, against), row in pairs.items()
        if against == base and offer != usual and row["shown"] == "gain"
        and pairs.get((offer, NO_OFFER), row)["shown"] != "loss"
    ]  # fmt: skip
    return dict(max(gains, key=lambda row: row["profit"])) if gains else None


def _compared(
    frame: pl.DataFrame,
    against: str,
    offers: list[str],
    margin: float,
    costs: Mapping[str, float],
    level: float,
    reach: Mapping[str, int],
) -> pl.DataFrame:
    """Compare each offer with one other in every segment that has both."""
    both = pl.col("arm").is_in([against, *offers])
    pairs = frame.filter(both & (pl.col("arm") == against).any().over("segment"))
    offers = [offer for offer in offers if offer in pairs["arm"].unique()]
    if not offers:
        return pl.DataFrame(schema=PROFITS)
    table = measure_profit(
        pairs,
        control=against,
        arms=offers,
        margin=margin,
        cost_per_contact={name: costs[name] for name in (against, *offers)},
        level=level,
    ).table
    table = table.join(
        _conversions(pairs, against, offers, level),
        on=["arm", "segment"],
        how="left",
        maintain_order="left",
    )
    sizes = dict(pairs.filter(arm=against).group_by("segment").len().iter_rows())
    sizes[ALL] = sum(sizes.values())
    table = table.with_columns(
        customers_against=pl.col("segment").replace_strict(sizes, return_dtype=pl.Int64)
    )
    chance = table["profit_chance"].to_numpy()
    within = (table["segment"] != ALL).to_numpy()
    p_value = 2 * np.minimum(chance, 1 - chance)
    p_value[within] = adjust(p_value[within])
    alpha = 1 - level
    clear = pl.Series(p_value).fill_nan(None) < alpha
    up, down = table["converts"] == "higher", table["converts"] == "lower"
    half = (pl.col("added_profit_high") - pl.col("added_profit_low")) / 2 / z_value(level)
    spread = (1 / pl.col("customers") + 1 / pl.col("customers_against")).sqrt()
    return table.select(
        pl.lit("campaign").alias("basis"),
        "segment",
        offer="arm",
        against=pl.lit(against),
        customers_offer="customers",
        customers_against="customers_against",
        reach=pl.col("segment").replace_strict(
            {**reach, ALL: sum(reach.values())}, return_dtype=pl.Int64
        ),
        profit="added_profit",
        profit_low="added_profit_low",
        profit_high="added_profit_high",
        sd=half / spread,
        shown=_shown(
            (pl.col("added_profit_low") > 0) & (clear | up).fill_null(value=False),
            (pl.col("added_profit_high") < 0) & (clear | down).fill_null(value=False),
        ),
    ).cast(PROFITS)  # type: ignore[arg-type]


def _shown(gain: pl.Expr, loss: pl.Expr) -> pl.Expr:
    return pl.when(gain).then(pl.lit("gain")).when(loss).then(pl.lit("loss")).otherwise(pl.lit(""))


def _conversions(
    frame: pl.DataFrame, against: str, offers: list[str], level: float
) -> pl.DataFrame:
    """Return the verdict on conversion by offer and segment, adjusted over all of them."""
    verdicts = {"arm": pl.String, "segment": pl.String, "converts": pl.String}
    if "converted" not in frame.columns:
        return pl.DataFrame(schema=verdicts)
    lift = measure_lift(frame, control=against, arms=offers, metrics=["conversion"], level=level)
    effects = lift.effects.select("arm", "segment", "difference", "p_value")
    p_value = effects["p_value"].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    within = (effects["segment"] != ALL).to_numpy()
    p_value[within] = adjust(p_value[within])
    words = pl.when(pl.col("difference") > 0).then(pl.lit("higher")).otherwise(pl.lit("lower"))
    clear = pl.Series(p_value).fill_nan(None) < 1 - level
    return effects.select("arm", "segment", converts=pl.when(clear).then(words))


def compare_pilot_offers(
    pilot: Pilot, reach: Mapping[str, int], *, usual: str = USUAL, level: float = 0.95
) -> pl.DataFrame:
    """Compare the offer that a pilot learnt for each segment with the usual one and with none.

    Parameters
    ----------
    pilot : Pilot
        From `read_pilot`, its payoff being profit.
    reach : mapping of str to int
        Segment to the customers who may be contacted now.
    usual : str
        As in `compare_offers`.
    level : float

    Returns
    -------
    polars.DataFrame
        As `compare_offers` has it, basis "pilot". The profits are shrunken, because the best of
        several noisy estimates is too high (winner's curse). An offer counts as better than the
        usual one only if the pilot shows that tailoring pays.

    Raises
    ------
    DataError
        If the pilot's payoff is not money.
    """
    from scipy.special import ndtr

    if not pilot.money:
        raise DataError(f"expected a pilot whose payoff is profit, got {pilot.payoff}")
    cells = {(row["segment"], row["offer"]): row for row in pilot.cells.iter_rows(named=True)}
    learnt = dict(pilot.policy.select("segment", "offer").iter_rows())
    rows: list[tuple[Any, ...]] = []
    for segment, offer in learnt.items():
        wanted = [(offer, usual), (offer, NO_OFFER), (usual, NO_OFFER)]
        for one, other in dict.fromkeys(wanted):
            mine, theirs = cells.get((segment, one)), cells.get((segment, other))
            if one in (other, NO_OFFER) or not mine or not theirs:
                continue
            gain = mine["payoff_shrunken"] - theirs["payoff_shrunken"]
            loading = np.array(mine["payoff_loading"]) - np.array(theirs["payoff_loading"])
            error = float(np.linalg.norm(loading))
            n = mine["customers"], theirs["customers"]
            limits = gain - z_value(level) * error, gain + z_value(level) * error
            sd = error / np.sqrt(1 / n[0] + 1 / n[1]) if min(n) else None
            p_value = float(2 * ndtr(-abs(gain) / error)) if error > 0 else None
            row = ("pilot", segment, one, other, *n, int(reach.get(segment, 0)), gain, *limits, sd)
            rows.append((*row, p_value))
    schema = {name: kind for name, kind in PROFITS.items() if name != "shown"}
    table = pl.DataFrame(rows, schema={**schema, "p_value": pl.Float64}, orient="row")
    tests = table["p_value"].fill_null(float("nan")).to_numpy().copy()
    for against in (usual, NO_OFFER):
        family = (table["against"] == against).to_numpy()
        tests[family] = adjust(tests[family])
    clear = pl.Series(tests).fill_nan(None) < 1 - level
    pays = (pl.col("against") != usual) | pl.lit(pilot.pays)
    return table.select(
        *schema, shown=_shown(clear & (pl.col("profit") > 0) & pays, clear & (pl.col("profit") < 0))
    )
