"""How often does a pilot teach each segment's best offer, and what does the learnt policy earn?

``python -m tests.studies.study_pilot --seeds 200 --jobs 2``

The simulated retailer's customers, their planted answers to every offer, and a pilot as large as
the one that ships with 20,000 customers. Segments are the archetypes themselves, or the
archetypes with a quarter of the customers put elsewhere (about what "hard" overlap costs).
"""

import numpy as np
import polars as pl

from segkit.campaign import estimate_pilot_gains, plan_budget, read_pilot
from segkit.campaign.pilot import make_trial
from segkit.simulate.archetypes import OFFERS
from segkit.simulate.customers import writable
from segkit.simulate.world import WINDOW_DAYS, World, conversion, natural, realised
from segkit.stats.policy import learn_best, rounds, split_folds
from tests.studies._study import arguments, over_seeds, publish, rate

N = 8_000  # of whom about three quarters may be written to: all take part
OPTIONS = ("none", *OFFERS)
ORDER, COST = 30.0, 0.05  # margin of an order and cost of a contact, in money
BLUR = {"archetypes": 0.0, "blurred": 0.25}


def population(lift, seed):
    """Return each writable customer's archetype, and its chance to convert under every option."""
    world = World(N, seed, lift=lift)
    people, days = world.people(np.arange(N)), world.calendar.days
    reached = writable(people, days)
    base = natural(people, days, 28)[reached]
    added = world.planted.added(people, reached)[reached] * realised(WINDOW_DAYS)
    chance = conversion(base[:, None], np.column_stack([np.zeros(len(base)), added]))
    return people.weights[reached].argmax(axis=1), chance


def once(lift, seed):
    """One pilot, read with two segmentations."""
    archetype, chance = population(lift, seed)
    rng = np.random.default_rng([seed, 77])
    n = len(archetype)
    option = rng.integers(len(OPTIONS), size=n)
    bought = rng.random(n) < chance[np.arange(n), option]
    row = {"lift": lift, "seed": seed, "customers": n}
    for name, blur in BLUR.items():
        moved = rng.random(n) < blur
        segment = np.where(moved, rng.integers(5, size=n), archetype)
        row |= {f"{name}.{key}": value for key, value in
                graded(segment, option, bought, chance, seed).items()}  # fmt: skip
    return row


def graded(segment, option, bought, chance, seed):
    """Read a pilot and compare with the truth."""
    frame = pl.DataFrame(
        {
            "customer_id": [f"{i:06d}" for i in range(len(segment))],
            "segment": [f"S{k}" for k in segment],
            "offer": [OPTIONS[k] for k in option],
            "converted": bought.astype(int),
            "profit": bought * ORDER - COST * (option > 0),
        }
    )
    found = read_pilot(frame, payoff="profit", repeats=1, seed=seed)
    profit = chance * ORDER - COST * (np.arange(len(OPTIONS)) > 0)
    cell = np.array([profit[segment == k].mean(axis=0) for k in range(5)])
    weight = np.bincount(segment, minlength=5) / len(segment)
    learnt = np.array([OPTIONS.index(o) for o in found.policy["offer"]])
    oracle = cell.argmax(axis=1)
    value = float(weight @ cell[np.arange(5), learnt])
    best = float(weight @ cell[np.arange(5), oracle])
    single = float((weight @ cell).max())
    # What the interval is about: the mean, over the valued customers, of what the policy that
    # was learnt from the folds before theirs truly brings in their segment.
    trial, _, names = make_trial(frame, "segment", "offer", "profit")
    target, base = [], []
    for rest, held in rounds(split_folds(trial, found.folds, seed)):
        for kind, kept in (("shrunken", target), ("single", base)):
            chosen = learn_best(trial, rest, method=kind)
            places = np.array([OPTIONS.index(names[k]) for k in chosen])
            kept.extend(cell[segment[held], places[segment[held]]])
    row = found.values.filter(policy="tailored by segment").row(0, named=True)
    told = dict(zip(("plan_covered", "plan_apart"), planned(found, segment, cell), strict=True))
    truth, gain = float(np.mean(target)), float(np.mean(target) - np.mean(base))
    return {
        "right": int((learnt == oracle).sum()),
        "value": value, "oracle": best, "single": single,
        "value_covered": row["low"] <= truth <= row["high"],
        "gain_covered": found.gain_low <= gain <= found.gain_high,
        **told,
        "pays": found.pays,
        "alike": len(set(learnt)) == 1,
        "flagged": found.interaction_p < 0.05,
    }  # fmt: skip


def planned(found, segment, cell):
    """Whether the best plan's limits hold what its contacts truly earn: drawn jointly, apart.

    The limits are those that many draws of `plan_budget` tend to.
    """
    sizes = {f"S{k}": int(n) for k, n in enumerate(np.bincount(segment, minlength=5))}
    gains = estimate_pilot_gains(found.cells, sizes, COST, paid=True).sort("segment", "offer")
    plan = plan_budget(gains, budget=0.6 * COST * len(segment), draws=10).plan
    contacts, loading = plan["contacts"].to_numpy(), np.array(gains["loading"].to_list())
    group = gains["segment"].str.slice(1).cast(int).to_numpy()
    offer = np.array([OPTIONS.index(o) for o in gains["offer"]])
    off = abs(plan["profit"].sum() - contacts @ (cell[group, offer] - cell[group, 0]))
    together = np.linalg.norm(contacts @ loading)
    apart = np.linalg.norm(contacts * np.linalg.norm(loading, axis=1))
    return [bool(off <= 1.96 * sd + 1e-9) for sd in (together, apart)]


def main():
    """Run both settings; one row per setting and segmentation."""
    options = arguments(__doc__, seeds=200, thin=3)
    cells = [(lift, seed) for seed in range(options.seeds) for lift in ("planted", "none")]
    found = over_seeds(once, cells, jobs=options.jobs, keep=options.keep)
    rows = []
    for lift in ("planted", "none"):
        part = found.filter(pl.col("lift") == lift)
        for name in BLUR:
            get = {c.split(".")[1]: part[c] for c in part.columns if c.startswith(f"{name}.")}
            n = part.height
            right = rate(int(get["right"].sum()), 5 * n)
            row = {
                "lift": lift, "segments": name, "seeds": n,
                "customers": float(part["customers"].mean()),
                "best_offer_learnt": right["rate"], "low": right["low"], "high": right["high"],
                "profit_learnt": get["value"].mean(), "profit_oracle": get["oracle"].mean(),
                "profit_best_single": get["single"].mean(),
            }  # fmt: skip
            for key in (
                "value_covered",
                "gain_covered",
                "plan_covered",
                "plan_apart",
                "pays",
                "alike",
                "flagged",
            ):
                told = rate(int(get[key].sum()), n)
                row |= {key: told["rate"], f"{key}_low": told["low"], f"{key}_high": told["high"]}
            rows.append(row)
    publish(
        pl.DataFrame(rows, infer_schema_length=None),
        "pilot",
        thin=options.thin,
        note="Pilot of six options (no offer, five offers) at random; profit per customer at an "
        "order's margin of 30 and 0.05 a contact.\nbest_offer_learnt: over segments and seeds; "
        "without a lift 'no offer' is best by the contact's cost alone.\nvalue_covered, "
        "gain_covered: the 95% interval of the value, and of the gain over the best single offer, "
        "holds the true mean over the customers\nvalued of what was learnt from the folds before "
        "theirs. The four rows share their seeds, and so most of their customers' answers.\n"
        "plan_covered: the interval of the best plan's profit, with a budget for 60% of the "
        "customers, holds what it truly earns; plan_apart: so with gains drawn one by one.\n"
        "pays: the gain's interval lies above zero; alike: all segments get one offer; "
        "flagged: interaction p < .05.",
    )


if __name__ == "__main__":
    main()
