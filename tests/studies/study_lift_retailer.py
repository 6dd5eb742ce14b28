"""On the simulated retailer: do the intervals hold the planted lift, and how often is it found?

``python -m tests.studies.study_lift_retailer --seeds 200 --jobs 1``: every customer who may be
written to is assigned at random to the generic offer or to its archetype's own, within archetype
(the right segmentation: how well one is found is another study's question). `follow_up`'s way: the
retailer answers, the intake reads, `derive_outcomes` and `measure_lift` measure. The truth is that
of the planted expected conversions, which no analysis sees.
"""

import warnings
from datetime import UTC, datetime, time

import numpy as np
import polars as pl

import segkit
from segkit.lift.verdicts import ALL
from segkit.simulate import world as planted
from segkit.simulate.archetypes import ARCHETYPES, OFFERS
from segkit.simulate.customers import writable
from segkit.simulate.respond import respond
from tests.studies._study import arguments, over_seeds, publish, rate

CUSTOMERS = 4_000


def expected(world, people):
    """Each customer's expected conversion under the generic and under its own offer."""
    everybody = np.ones(len(people), dtype=bool)
    base = planted.natural(people, world.calendar.days, 28)
    added = world.planted.added(people, everybody) * planted.realised(planted.WINDOW_DAYS)
    best = planted.best_offers(people)
    own = added[np.arange(len(people)), best]
    generic = added[:, OFFERS.index("generic")]
    return planted.conversion(base, generic), planted.conversion(base, own), best


def campaign(seed, lift, customers):
    """One retailer's campaign: whether intervals hold the truth, and what is found."""
    warnings.simplefilter("error")
    world = planted.World(customers, seed, lift=lift, dirty=False, pilot_share=0.0)
    people = world.people(np.arange(customers))
    reached = writable(people, world.calendar.days)
    number = np.flatnonzero(reached)
    people = people.some(number)
    generic, own, best = expected(world, people)
    arm = np.random.default_rng(seed).random(len(number)) < 0.5
    kind = np.array(list(ARCHETYPES))[people.weights.argmax(axis=1)]
    midnight = datetime.combine(world.calendar.campaign_date, time(), UTC)
    who = pl.DataFrame(
        {
            "customer_id": [f"C{k + 1:07d}" for k in number],
            "campaign_id": "study",
            "arm": np.where(arm, "tailored", "generic"),
            "offer": np.where(arm, np.array(OFFERS)[best], "generic"),
            "segment": kind,
        }
    ).with_columns(assigned_at=pl.lit(midnight).dt.cast_time_unit("us"))
    answer = respond(world, who, weeks=4)
    from segkit.intake import Mapping, clean_data

    taken = clean_data({"orders": answer.orders}, Mapping.of_source("simulated"))
    end = datetime.fromtimestamp(midnight.timestamp() + 28 * 86400, UTC)
    done = segkit.derive_outcomes(who, taken.orders, data_until=end)
    found = segkit.measure_lift(done, control="generic", metrics=["conversion"])
    row = {"seed": seed, "lift": lift}
    for name in (ALL, *sorted(ARCHETYPES)):
        some = np.ones(len(kind), dtype=bool) if name == ALL else kind == name
        true = own[some].mean() / generic[some].mean() - 1
        got = found.row(segment=name)
        row |= {
            f"true {name}": true,
            f"held {name}": bool(got["relative_low"] <= true <= got["relative_high"]),
            f"found {name}": got["verdict"] == "higher",
            f"alarm {name}": got["verdict"] in ("higher", "lower"),
            f"few {name}": got["few"],
            f"value {name}": got["relative"],
        }
    return row


def main():
    """Run the campaigns and publish one row per setting and segment."""
    options = arguments(__doc__, seeds=200, thin=3)
    cells = [
        (seed, lift, CUSTOMERS) for lift in ("planted", "none") for seed in range(options.seeds)
    ]
    found = over_seeds(campaign, cells, jobs=options.jobs, keep=options.keep)
    rows = []
    for (lift,), part in found.group_by("lift", maintain_order=True):
        for name in (ALL, *sorted(ARCHETYPES)):
            held = rate(int(part[f"held {name}"].sum()), part.height)
            power = rate(int(part[f"found {name}"].sum()), part.height)
            rows.append(
                {"lift": lift, "segment": name, "true_lift": part[f"true {name}"].mean(),
                 "mean_estimate": part[f"value {name}"].mean(), "seeds": held.pop("n"),
                 "coverage": held.pop("rate"), **held, "found_rate": power["rate"],
                 "found_low": power["low"], "found_high": power["high"],
                 "alarm_rate": part[f"alarm {name}"].mean(),
                 "few_share": part[f"few {name}"].mean()}
            )  # fmt: skip
    note = (
        f"{CUSTOMERS} customers a retailer, about four fifths may be written to; half get the "
        "archetype's own offer, half the generic one, in 28 days.\ncoverage: of the nominal 95% "
        "interval of the relative lift for the expected one; found_rate: verdict 'higher' "
        "(Holm over segments).\n"
        "true_lift: from the planted expected conversions, averaged over seeds."
    )
    table = pl.DataFrame(rows)
    publish(table, "lift_retailer", thin=options.thin, note=note)
    whole = table.filter(lift="planted", segment=ALL)
    if not 0.2 < whole["true_lift"].item() < 0.4:
        raise SystemExit("the planted lift is not where it should be")


if __name__ == "__main__":
    main()
