"""How often is an offer rolled out that does nothing, and how often one that does?

``python -m tests.studies.study_next_steps --seeds 200 --jobs 1``: campaigns as tables, without the
pipeline. Customers of each segment are drawn into a holdout, the generic offer, the persona's and
the offer learnt; what they buy in four weeks is a share of buyers times a skewed amount. An offer
that does nothing has the generic one's share. `compare_offers` and `decide_next_steps` decide. The
declared rate of false gains is that of the family of segments and offers: 1 - level.
"""

import numpy as np
import polars as pl

from segkit.campaign import compare_offers, decide_next_steps
from tests.studies._study import arguments, over_seeds, publish, rate

ARMS, SHARES = ("holdout", "generic", "persona", "tailored"), (0.1, 0.3, 0.3, 0.3)
DECLARED = 0.05
BASE, GENERIC = 0.06, 0.03  # chance to buy, and what the generic mail adds to it
# Setting: customers, segments, what the generic adds, what the offers add to the generic.
SETTINGS = {
    "no mail does anything": (14_000, 5, 0.0, 0.0),
    "every mail does the same": (14_000, 5, GENERIC, 0.0),
    "small campaign": (1_500, 5, GENERIC, 0.0),
    "twelve segments": (14_000, 12, GENERIC, 0.0),
    "offers add 30%": (14_000, 5, GENERIC, 0.027),
}


def campaign(setting: str, seed: int) -> dict[str, object]:
    """Draw one campaign, and decide."""
    customers, segments, generic, more = SETTINGS[setting]
    draw = np.random.default_rng([seed, list(SETTINGS).index(setting)])
    arm = draw.choice(len(ARMS), customers, p=SHARES)
    segment = draw.choice(segments, customers)
    worth = 0.5 + np.arange(segments) / segments  # segments buy differently often
    chance = worth[segment] * (BASE + generic * (arm > 0) + more * (arm > 1))
    buys = draw.random(customers) < chance
    revenue = np.where(buys, draw.lognormal(3.5, 0.9, customers), 0.0).round(2)
    offers = np.array(["none", "generic", "persona's", "learnt"])[arm]
    rows = pl.DataFrame(
        {
            "arm": np.array(ARMS)[arm].tolist(),
            "offer": offers.tolist(),
            "segment": [f"S{place + 1}" for place in segment],
            "converted": buys.astype(np.int8),
            "revenue": revenue,
        }
    )
    sizes = rows.group_by("segment").len("customers").sort("segment")
    compared = compare_offers(rows, margin=0.45, cost_per_contact=0.05)
    steps = decide_next_steps(sizes.with_columns(segment_name="segment"), campaign=compared).table
    decisions = steps["decision"].to_list()
    return {
        "setting": setting,
        "seed": seed,
        "roll_out": "roll out" in decisions,
        "segments": decisions.count("roll out"),
        "change": "change" in decisions,
        "stop": "stop" in decisions,
        "keep": decisions.count("keep"),
    }


def main() -> None:
    """Run the campaigns, and hold the false roll-outs to the declared rate."""
    options = arguments(__doc__, seeds=200, thin=6)
    cells = [(setting, seed) for seed in range(options.seeds) for setting in SETTINGS]
    found = over_seeds(campaign, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    rows, above = [], []
    for (setting,), part in found.group_by("setting", maintain_order=True):
        seen = rate(int(part["roll_out"].sum()), part.height)
        n, segments = seen.pop("n"), SETTINGS[setting][1]
        rows.append(
            {"setting": setting, "campaigns": n, "roll_out": seen["rate"], "low": seen["low"],
             "high": seen["high"], "segments_rolled_out": part["segments"].mean() / segments,
             "segments_kept": part["keep"].mean() / segments, "change": part["change"].mean(),
             "stop": part["stop"].mean()}
        )  # fmt: skip
        above += [setting] if SETTINGS[setting][3] == 0 and seen["low"] > DECLARED else []
    publish(
        pl.DataFrame(rows),
        "next_steps",
        thin=options.thin,
        note=f"roll_out: campaigns in which any segment's offer is rolled out, Wilson 95%; at most "
        f"{DECLARED:.0%} declared where offers do nothing.\nsegments_: share of segments; change, "
        "stop: campaigns in which any segment's decision is that.",
    )
    if above:
        raise SystemExit(f"false roll-outs above {DECLARED:.0%}: {', '.join(above)}")


if __name__ == "__main__":
    main()
