"""Does the interval of the price elasticity hold the planted one, over all and by segment?

``python -m tests.studies.study_price --seeds 200 --jobs 2``

Each data set is a new simulated retailer (its purchases alone). Product prices change at staggered
times; customers answer each with an elasticity of their own. The truth is the mean of their
elasticities over the lines that they bought. "Two groups at random" have one elasticity: how often
the test of segments says that they differ is its size.
"""

import numpy as np
import polars as pl

from segkit.regression.panel import ALL, build_price_panel
from segkit.regression.price import estimate_price_response
from tests.studies._retail import segments, shop
from tests.studies._study import arguments, over_seeds, publish, rate

CUSTOMERS = 2_000


def one(seed):
    """Give each estimate with its truth for one retailer, as columns."""
    world, people, orders = shop(seed, CUSTOMERS)
    person = orders["customer_id"].cast(pl.Int64).to_numpy()
    truth = -people.traits["price_elasticity"][person]
    kinds = segments(people)
    kind = kinds["segment"].to_numpy()[person]
    prices = world.catalogue.prices
    listed = estimate_price_response(build_price_panel(orders, prices, segments=kinds))
    inferred = estimate_price_response(build_price_panel(orders))
    coin = np.random.default_rng(seed).integers(2, size=CUSTOMERS)
    halves = kinds.with_columns(segment=pl.Series(coin).cast(pl.String))
    null = estimate_price_response(
        build_price_panel(orders, prices, segments=halves, promotions=None)
    )
    found = {"differ": listed.differ_p < 0.05, "differ_null": null.differ_p < 0.05}
    for row in listed.elasticities.to_dicts():
        name = row["segment"]
        found |= _judged(name, row, truth if name == ALL else truth[kind == name])
    return found | _judged("read off lines", inferred.elasticities.row(0, named=True), truth)


def _judged(name, row, truth):
    mean = float(truth.mean())
    return {
        f"{name}|truth": mean,
        f"{name}|estimate": row["elasticity"],
        f"{name}|std_error": row["std_error"],
        f"{name}|lines": float(len(truth)),
        f"{name}|held": row["low"] <= mean <= row["high"],
    }


def main():
    """Run the seeds; one row per kind of estimate, then the tests."""
    options = arguments(__doc__, seeds=200, thin=3)
    found = over_seeds(one, [(seed,) for seed in range(options.seeds)], jobs=options.jobs)
    names = list(dict.fromkeys(c.split("|")[0] for c in found.columns if "|" in c))
    rows = []
    for name in names:
        held, truth, value, error, lines = (
            found[f"{name}|{part}"].to_numpy()
            for part in ("held", "truth", "estimate", "std_error", "lines")
        )
        rows.append(
            {"what": name, "lines": float(lines.mean()), **rate(int(held.sum()), len(held)),
             "truth": truth.mean(), "bias": (value - truth).mean(),
             "sd": (value - truth).std(), "mean_error": error.mean()}
        )  # fmt: skip
    for name, what in (("differ", "test: segments differ"), ("differ_null", "test: no difference")):
        rows.append({"what": what, **rate(int(found[name].sum()), found.height)})
    publish(
        pl.DataFrame(rows, infer_schema_length=None),
        "price",
        thin=options.thin,
        note=f"{CUSTOMERS} customers, 300 products, 36 months, difficulty medium. rate: the 95% "
        "interval holds the truth (tests: rate of p < .05), Wilson 95%.\n"
        "truth, bias, sd: of the elasticity, over seeds; mean_error: mean standard error. "
        "'read off lines': no price list.",
    )


if __name__ == "__main__":
    main()
