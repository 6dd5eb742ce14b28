"""Do intervals of planted effects hold them, for every kind of outcome? Is the right kind chosen?

``python -m tests.studies.study_drivers --seeds 200 --jobs 2``

Planted outcomes: three correlated predictors with known effects. Retailer: orders of the simulated
customers on their attitudes loyalty and convenience (planted: +.15 and +.10 on the log of the
purchase rate within an archetype), years of activity as exposure, archetype and the other traits as
controls. Importance: 95% bootstrap intervals of Shapley shares of R squared, truth from the
population's covariance.
"""

import numpy as np
import polars as pl

from segkit.regression import fit_drivers, measure_importance
from segkit.regression.importance import exact_shares
from segkit.simulate.archetypes import DRIVERS
from tests.studies._retail import segments, shop
from tests.studies._study import arguments, over_seeds, publish, rate

N, CUSTOMERS = 800, 1_000
BETA = np.array([0.4, -0.25, 0.0])
COVARIANCE = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.0]])
NAMES = ["a", "b", "c"]
KINDS = {
    "poisson": ("counts", "poisson"),
    "negative binomial": ("counts", "negative binomial"),
    "zero-inflated poisson": ("counts", "zero-inflated poisson"),
    "zero-inflated negative binomial": ("counts", "zero-inflated negative binomial"),
    "poisson on overdispersed counts": ("poisson", "poisson"),
    "gamma": ("auto", "gamma"),
    "log-linear": ("log-linear", "log-linear"),
    "logistic": ("auto", "logistic"),
    "poisson in 60 clusters": ("poisson", "poisson"),
}


def draw(kind, seed):
    """Draw predictors and an outcome of one kind."""
    random = np.random.default_rng([seed, list(KINDS).index(kind)])
    X = random.multivariate_normal(np.zeros(3), COVARIANCE, N)
    cluster = np.arange(N) % 60
    if "clusters" in kind:  # a predictor and a disturbance that clusters share
        X[:, 0] = random.normal(size=60)[cluster]
    eta = 0.5 + X @ BETA
    mu = np.exp(eta)
    over = random.gamma(2.0, 0.5, N)
    some = random.random(N) < 0.7
    y = {
        "poisson": lambda: random.poisson(mu),
        "negative binomial": lambda: random.poisson(mu * over),
        "zero-inflated poisson": lambda: random.poisson(mu) * some,
        "zero-inflated negative binomial": lambda: random.poisson(2 * mu * over) * some,
        "poisson on overdispersed counts": lambda: random.poisson(mu * over),
        "gamma": lambda: mu * random.gamma(1.5, 1 / 1.5, N),
        "log-linear": lambda: np.exp(eta + random.normal(size=N) * (0.5 + 0.3 * np.abs(X[:, 0]))),
        "logistic": lambda: (random.random(N) < 1 / (1 + np.exp(-eta))).astype(float),
        "poisson in 60 clusters": lambda: random.poisson(
            mu * np.exp(0.4 * random.normal(size=60) - 0.08)[cluster]
        ),
    }[kind]()
    columns = dict(zip(NAMES, X.T, strict=True))
    return pl.DataFrame(columns | {"y": y, "cluster": cluster})


def planted(kind, seed):
    """Whether each planted effect is inside its interval, and whether the kind was seen."""
    family, right = KINDS[kind]
    clusters = "cluster" if "clusters" in kind else None
    frame = draw(kind, seed)
    found = fit_drivers(frame, "y", NAMES, family=family, clusters=clusters, folds=0)
    rows = {row["term"]: row for row in found.effects.to_dicts()}
    held = [rows[n]["low"] <= b <= rows[n]["high"] for n, b in zip(NAMES, BETA, strict=True)]
    wrong = rows["c"]["p_value"] < 0.05
    return {"kind": kind, "held": held, "right": found.family == right, "false": wrong}


def retailer(kind, seed):
    """Loyalty and convenience on orders a year of activity."""
    world, people, orders = shop(seed, CUSTOMERS)
    days = world.calendar.days
    active = np.minimum(people.left, days) - people.active_from
    orders_of = orders.group_by("customer_id").agg(orders=pl.col("order_id").n_unique())
    traits = ["loyalty", "convenience", "price_consciousness", "fashion_involvement", "income"]
    frame = segments(people).with_columns(
        *(pl.Series(name, people.traits[name]) for name in traits),
        years=pl.Series(np.maximum(active, 0) / 365.25),
    )
    frame = frame.join(orders_of, on="customer_id", how="left").filter(pl.col("years") > 0)
    frame = frame.with_columns(pl.col("orders").fill_null(0))
    found = fit_drivers(
        frame, "orders", [*traits, "segment"], family="counts", exposure="years", folds=0
    )
    truth = {driver: b for trait, driver, b in DRIVERS if trait == "orders_per_year"}
    rows = {row["term"]: row for row in found.effects.to_dicts()}
    held = [rows[name]["low"] <= b <= rows[name]["high"] for name, b in truth.items()]
    right = found.family == "negative binomial"
    return {"kind": kind, "held": held, "right": right, "false": None}


def importance(kind, seed):
    """Shapley shares against those of the population."""
    random = np.random.default_rng([seed, 99])
    X = random.multivariate_normal(np.zeros(3), COVARIANCE, N)
    beta = np.array([0.4, -0.25, 0.3])
    frame = pl.DataFrame(dict(zip(NAMES, X.T, strict=True)))
    frame = frame.with_columns(y=pl.Series(X @ beta + random.normal(size=N)))
    found = measure_importance(frame, "y", NAMES, seed=seed).shares
    cross = COVARIANCE @ beta
    whole = np.block([[COVARIANCE, cross[:, None]], [cross[None], beta @ cross + 1.0]])
    truth = dict(zip(NAMES, exact_shares(whole[None], [[0], [1], [2]])[0], strict=True))
    held = [row["r2_low"] <= truth[row["predictor"]] <= row["r2_high"] for row in found.to_dicts()]
    return {"kind": kind, "held": held, "right": None, "false": None}


TASKS = dict.fromkeys(KINDS, planted) | {
    "retailer: loyalty, convenience": retailer,
    "importance: Shapley shares": importance,
}


def run(kind, seed):
    """One data set of one kind."""
    return TASKS[kind](kind, seed)


def main():
    """Run the cells and write one row per kind."""
    options = arguments(__doc__, seeds=200, thin=4)
    cells = [(kind, seed) for seed in range(options.seeds) for kind in TASKS]
    found = over_seeds(run, cells, jobs=options.jobs)
    rows = []
    for kind in TASKS:
        part = found.filter(pl.col("kind") == kind)
        held = np.concatenate(part["held"].to_list())
        right, wrong = part["right"].drop_nulls(), part["false"].drop_nulls()
        rows.append(
            {
                "what": kind,
                "rows": CUSTOMERS if kind.startswith("retailer") else N,
                "seeds": part.height,
                **rate(int(held.sum()), len(held)),
                "kind_seen": right.mean() if len(right) else None,
                "false_rate": wrong.mean() if len(wrong) else None,
            }
        )
    publish(
        pl.DataFrame(rows, infer_schema_length=None),
        "drivers",
        thin=options.thin,
        note="rate: planted effects inside their 95% intervals (n effects; those of one data set "
        "go together, so that the Wilson interval is a little too narrow).\n"
        "kind_seen: share of data sets for which the family that made them was chosen; "
        "false_rate: p < .05 for the predictor without effect.",
    )


if __name__ == "__main__":
    main()
