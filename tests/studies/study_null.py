"""How often are data without groups called natural, and data with groups found to be so?

``python -m tests.studies.study_null --seeds 200 --jobs 2``
"""

import polars as pl

from segkit.cluster.structure import assess_structure
from segkit.transform import Transform
from tests.studies._populations import BALLS, continuum, mixture
from tests.studies._retail import customer_table
from tests.studies._study import arguments, over_seeds, publish, rate

NULLS = ("normal", "t3", "uniform", "simplex", *BALLS, "lognormal", "rfm_log", "rfm_raw")
GROUPS = {
    "4 round groups, 6 sd apart": {"k": 4, "apart": 6.0},
    "4 long groups, 6 sd apart": {"k": 4, "apart": 6.0, "shape": "long"},
    "3 round groups, 4 sd apart": {"k": 3, "apart": 4.0},
    "2 round groups, 2 sd apart": {"k": 2, "apart": 2.0},
}
RETAILERS = {"retailer without segments": "none", "retailer with archetypes": "archetypes"}
SETTINGS = (*NULLS, *GROUPS, *RETAILERS)
N = 300
CUSTOMERS = 1000
FIRST = 1000  # the references were chosen on lower seeds


def verdict(setting, seed):
    """One data set: the verdict by 19 references of each kind, at k = 2..5."""
    if setting in RETAILERS:
        structure = RETAILERS[setting]
        table, variables, _ = customer_table(CUSTOMERS, seed=seed, structure=structure)
        X, k = Transform.propose(table, variables).fit(table).apply(table), 5
    elif setting in NULLS:
        X, k = continuum(seed, setting, n=N), 1
    else:
        X, k = mixture(seed, n=N, **GROUPS[setting])[0], GROUPS[setting]["k"]
    found = assess_structure(X, k_range=range(2, 6), n_null=19, n_refits=20, seed=seed)
    return {
        "setting": setting,
        "seed": seed,
        "customers": found.n,
        "verdict": found.verdict,
        "right_k": found.natural_k == k,
    }


def main():
    """Run the cells and write one row per setting."""
    options = arguments(__doc__, seeds=200, thin=2)
    cells = [(s, FIRST + seed) for seed in range(options.seeds) for s in SETTINGS]
    found = over_seeds(verdict, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    rows = []
    for setting in SETTINGS:
        part = found.filter(pl.col("setting") == setting)
        grouped = setting in GROUPS or RETAILERS.get(setting) == "archetypes"
        tested = rate(int((part["verdict"] == "natural").sum()), part.height)
        rows.append(
            {
                "setting": setting,
                "customers": round(part["customers"].mean()),
                **tested,
                "right_k_rate": part["right_k"].mean() if grouped else None,
                "reproducible": (part["verdict"] == "reproducible").mean(),
            }
        )
    publish(
        pl.DataFrame(rows, infer_schema_length=None),
        "null",
        thin=options.thin,
        note="Rate of the verdict 'natural' at level .05 (Ward, 19 references of each kind, "
        "k = 2..5), Wilson 95% interval.\nright_k_rate: the largest k with valleys throughout is "
        "the true one; reproducible: rate of that verdict (20 refits).\nballs, disk and simplex "
        "are filled uniformly.\nThe retailers are simulated (medium "
        f"difficulty, {CUSTOMERS} customers before the intake) and come by the case study's way.\n"
        f"Seeds from {FIRST} on.",
    )


if __name__ == "__main__":
    main()
