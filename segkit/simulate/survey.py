"""What do customers say? Twenty Likert items, recommendation (NPS) and satisfaction (CSAT)."""

from __future__ import annotations

import numpy as np
import polars as pl

from segkit.simulate.archetypes import ATTITUDES
from segkit.simulate.customers import People

ANSWERING = 0.35  # share of customers who take part
_MISSING = 0.03  # share of items left open
_LOADINGS = (0.80, 0.75, 0.70, 0.65)  # of an attitude's four items
ANSWERS = (1, 5)  # lowest and highest answer to an item
_CUTS = np.array([-1.4, -0.5, 0.4, 1.3])  # between the answers

# Four statements an attitude; the third and fourth are worded the other way round.
STATEMENTS = {
    "price_consciousness": (
        "I compare prices before I buy clothes",
        "I wait for the sale",
        "I buy what I like whatever it costs",
        "I seldom look at the price tag",
    ),
    "fashion_involvement": (
        "I follow what is new in fashion",
        "Clothes say who I am",
        "I wear the same things for years",
        "Fashion bores me",
    ),
    "loyalty": (
        "I think of this shop first",
        "I would miss this shop if it closed",
        "I could as well buy elsewhere",
        "I like trying other shops",
    ),
    "convenience": (
        "Shopping should take as little time as possible",
        "I pay for quick delivery",
        "I enjoy going round the shops",
        "I do not mind queueing for the right thing",
    ),
    "sustainability": (
        "I ask how clothes are made",
        "I would pay more for organic cotton",
        "I throw away clothes that still fit",
        "Where clothes come from does not matter to me",
    ),
}
_SHORT = dict(zip(ATTITUDES, ("price", "fashion", "loyal", "conv", "sust"), strict=True))


def items() -> pl.DataFrame:
    """Return the codebook: item, statement, attitude it measures, whether it is reversed, loading.

    Examples
    --------
    >>> items().height, items()["reversed"].sum()
    (20, 10)
    """
    rows = [
        (f"{_SHORT[attitude]}_{k + 1}", statement, attitude, k >= 2, _LOADINGS[k])
        for attitude in ATTITUDES
        for k, statement in enumerate(STATEMENTS[attitude])
    ]
    names = ["item", "statement", "attitude", "reversed", "loading"]
    return pl.DataFrame(rows, schema=names, orient="row")


def survey_table(people: People, accounts: pl.Series) -> pl.DataFrame:
    """Draw the answers of those who take part; an item left open is null."""
    takes = people.draws.uniform("takes part") < ANSWERING
    draws, rows = people.draws.rows(takes), np.flatnonzero(takes)
    columns: dict[str, pl.Series] = {"account_id": accounts.filter(pl.Series(takes))}
    for item, _, attitude, reverse, loading in items().iter_rows():
        score = people.traits[attitude][rows] * (-1 if reverse else 1)
        noise = np.sqrt(1 - loading**2) * draws.normal(f"noise {item}")
        answer = pl.Series(ANSWERS[0] + np.searchsorted(_CUTS, loading * score + noise))
        left_open = pl.Series(draws.uniform(f"open {item}") < _MISSING)
        columns[item] = answer.cast(pl.Int64).set(left_open, None)
    loyal = people.traits["loyalty"][rows]
    nps = np.round(7.2 + 1.3 * loyal + 1.6 * draws.normal("nps")).clip(0, 10)
    csat = np.round(3.8 + 0.35 * loyal + 0.7 * draws.normal("csat")).clip(1, 5)
    columns["nps"] = pl.Series(nps).cast(pl.Int64)
    columns["csat"] = pl.Series(csat).cast(pl.Int64)
    return pl.DataFrame(columns)
