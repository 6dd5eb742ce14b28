"""The five archetypes of customers: all of their numbers, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from segkit.simulate.draws import Floats

GENERATOR_VERSION = 2
"""Raised whenever the same seed would give other bytes; version 1 planted weaker offers."""
STREAMS = 1  # of the random numbers: both versions have the same customers and purchases
# Lift of conversion over the generic offer where each archetype gets its own, and the pilot's
# share of the customers who may be written to. Fixed once, on retailers with the seeds 990000 to
# 990011, which no study uses: the policy that the whole analysis learns and sends lifts conversion
# by about 30% over the generic offer (tests/studies/study_policy.py).
PLANTED_LIFT, PILOT_SHARE = 0.40, 0.6

ARCHETYPES = ("budget", "loyalist", "browser", "occasion", "lapsing")
SHARES = np.array([0.28, 0.20, 0.22, 0.16, 0.14])


class Difficulty(NamedTuple):
    """Separation of the archetypes.

    Within an archetype a trait varies by its own standard deviation (`TRAITS`) times ``spread``;
    the archetypes' centres lie at their distances times ``contrast``. A classifier trained on
    the truth (gradient boosting on the customer table's 51 features, 6,000 customers, half to
    train; the customers with an order) tells the archetype with an accuracy of about 0.95 (easy),
    0.90 (medium) and 0.77 (hard): adjusted Rand index 0.88, 0.76 and 0.50. The traits themselves,
    which are not observed, would identify it in 98% of the cases or more: only the observed
    behaviour overlaps.

    Attributes
    ----------
    contrast : float
        Factor on the distance of each archetype's centre from the population's mean.
    spread : float
        Factor on the standard deviation within an archetype.
    """

    contrast: float
    spread: float


DifficultyName = Literal["easy", "medium", "hard"]
DIFFICULTIES = {
    "easy": Difficulty(contrast=1.1, spread=0.45),
    "medium": Difficulty(contrast=0.95, spread=0.75),
    "hard": Difficulty(contrast=0.75, spread=1.0),
}

# A trait's centre in each archetype, in its natural unit, and its standard deviation within an
# archetype on the scale named (log, logit or plain). Attitudes are z-scores.
_TRAITS = """
trait               scale spread budget loyalist browser occasion lapsing
orders_per_year     log   0.50   3.2    7.2      1.0     2.2      4.8
years_active        log   0.10   16     30       16      20       1.4
items_per_order     log   0.22   1.7    2.1      1.3     1.9      1.6
price_tier          log   0.20   0.62   1.25     0.95    1.35     0.95
deal_proneness      logit 0.60   0.75   0.12     0.45    0.20     0.35
return_probability  logit 0.45   0.11   0.15     0.26    0.08     0.18
occasion_share      logit 0.60   0.06   0.06     0.06    0.80     0.06
gift_taste          logit 0.40   0.10   0.08     0.10    0.55     0.10
sessions_per_month  log   0.45   0.7    1.2      2.6     0.35     0.6
cart_probability    logit 0.45   0.08   0.11     0.085   0.08     0.10
open_probability    logit 0.50   0.20   0.46     0.25    0.16     0.20
click_probability   logit 0.40   0.14   0.20     0.12    0.07     0.08
price_elasticity    log   0.15   2.0    0.8      1.5     0.9      1.3
app_share           logit 0.60   0.30   0.40     0.50    0.10     0.20
store_share         logit 0.60   0.12   0.20     0.05    0.30     0.20
loyalty_card        logit 0.40   0.35   0.85     0.10    0.20     0.50
marketing_consent   logit 0.30   0.88   0.95     0.75    0.78     0.85
joined_before       logit 0.00   0.60   0.70     0.55    0.60     0.95
female              logit 0.00   0.62   0.70     0.66    0.50     0.60
age                 plain 9.00   34     43       27      50       38
income              plain 0.80   -0.6   0.7      -0.3    0.4      0.0
price_consciousness plain 1.00   1.0    -0.8     0.3     -0.2     0.1
fashion_involvement plain 1.00   0.0    0.8      0.8     -0.8     -0.2
loyalty             plain 1.00   -0.3   1.1      -0.4    0.0      -0.9
convenience         plain 1.00   -0.2   0.2      0.2     0.8      -0.1
sustainability      plain 1.00   -0.3   0.4      0.2     0.0      0.0
"""

ATTITUDES = (
    *("price_consciousness", "fashion_involvement"),
    *("loyalty", "convenience", "sustainability"),
)

# Within an archetype, one unit more of the driver than its centre moves the trait by so much on
# the trait's scale (0.10 on a log scale: about 10% more).
DRIVERS: tuple[tuple[str, str, float], ...] = (
    ("orders_per_year", "loyalty", 0.15),
    ("orders_per_year", "convenience", 0.10),
    ("items_per_order", "fashion_involvement", 0.10),
    ("items_per_order", "income", 0.10),
    ("price_tier", "income", 0.15),
    ("price_tier", "price_consciousness", -0.10),
    ("deal_proneness", "price_consciousness", 0.35),
    ("price_elasticity", "price_consciousness", 0.20),
    ("return_probability", "fashion_involvement", 0.12),
    ("sessions_per_month", "fashion_involvement", 0.15),
    ("app_share", "convenience", 0.25),
    ("open_probability", "loyalty", 0.25),
)

OFFERS = ("flash_sale", "early_access", "reengagement", "style_guide", "generic")
NO_OFFER = "none"

# Further orders that a generic offer brings per customer, and the other offers' as a multiple of
# it. The best offer's multiple is 1 + gain x kappa; kappa is solved so that tailoring lifts
# conversion over generic by the version's lift (`segkit.simulate.world.plant`).
_RESPONSE = """
archetype  generic flash_sale early_access reengagement style_guide gain best
budget     0.060   1.0        0.5          0.6          0.5         1.0  flash_sale
loyalist   0.090   0.6        1.0          0.3          0.9         1.0  early_access
browser    0.050   0.8        0.6          0.5          1.0         1.3  style_guide
occasion   0.050   0.8        0.7          0.5          0.9         0.0  generic
lapsing    0.040   0.7        0.2          1.0          0.3         2.0  reengagement
"""
WINDOW_WEEKS = 4
DISCOUNT_OF_OFFER = {"flash_sale": 0.25, "reengagement": 0.15, "early_access": 0.05, "generic": 0.1}

# Share of purchases by category for a shopper without gifts in mind, and for gifts.
# Prices in pounds: the middle and the spread (standard deviation of the log) within the category.
_CATEGORIES = """
category    products price log_sd everyday gift returns noun
Dresses     40       46    0.40   0.15     0.03 1.5     dress
Tops        50       23    0.40   0.22     0.04 1.0     top
Knitwear    30       42    0.40   0.11     0.10 1.0     jumper
Trousers    34       38    0.35   0.12     0.02 1.3     trousers
Denim       24       46    0.30   0.09     0.01 1.3     jeans
Outerwear   24       98    0.40   0.07     0.03 1.1     jacket
Shoes       34       62    0.40   0.11     0.04 1.5     shoes
Bags        20       52    0.50   0.04     0.18 0.5     bag
Jewellery   22       28    0.55   0.04     0.30 0.3     necklace
Accessories 22       20    0.45   0.05     0.25 0.3     scarf
"""


def read_table(text: str) -> list[dict[str, str]]:
    """Return the rows of a table written as text, its columns parted by blanks."""
    header, *rows = (line.split() for line in text.strip().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


class Trait(NamedTuple):
    """A trait's scale ("log", "logit", "plain"), its spread within an archetype, its centres."""

    scale: str
    spread: float
    centres: tuple[float, ...]


TRAITS = {
    row["trait"]: Trait(
        row["scale"], float(row["spread"]), tuple(float(row[name]) for name in ARCHETYPES)
    )
    for row in read_table(_TRAITS)
}
RESPONSE = {row.pop("archetype"): row for row in read_table(_RESPONSE)}
CATEGORIES = read_table(_CATEGORIES)


def to_scale(values: Floats, scale: str) -> Floats:
    """Take natural values to the scale on which customers vary.

    Examples
    --------
    >>> float(to_scale(np.array([0.5]), "logit")[0])
    0.0
    """
    if scale == "log":
        return np.log(values)
    return np.log(values / (1 - values)) if scale == "logit" else values


def from_scale(values: Floats, scale: str) -> Floats:
    """Take values back to their natural unit; the inverse of `to_scale`.

    Examples
    --------
    >>> float(from_scale(np.array([0.0]), "log")[0])
    1.0
    """
    if scale == "log":
        return np.exp(values)
    return 1 / (1 + np.exp(-values)) if scale == "logit" else values


def centres(difficulty: str) -> Floats:
    """Return the archetypes' centres on the traits' scales, shape (archetypes, traits)."""
    columns = [to_scale(np.array(t.centres), t.scale) for t in TRAITS.values()]
    table = np.column_stack(columns)
    middle = SHARES @ table
    return np.asarray(middle + DIFFICULTIES[difficulty].contrast * (table - middle))


def spreads(difficulty: str) -> Floats:
    """Return the standard deviations within an archetype on the traits' scales, shape (traits,)."""
    return DIFFICULTIES[difficulty].spread * np.array([t.spread for t in TRAITS.values()])
