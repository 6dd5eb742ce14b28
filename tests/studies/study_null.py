"""How often are data without groups called natural, and data with groups found to be so?

The first table has the whole verdict; the second the level alone, for which references need to be
drawn only until one of each kind has a valley as deep as the data's; the third what a report says:
the verdict on the number of segments that is recommended and used.

``python -m tests.studies.study_null --seeds 200 --jobs 2``
"""

import numpy as np
import polars as pl
from scipy.stats import binomtest

from segkit.cluster.choose import choose_k
from segkit.cluster.null import elliptical_reference, null_reference
from segkit.cluster.refits import Clustering
from segkit.cluster.structure import assess_structure, shallowest_valley
from segkit.stats.threads import single_thread
from segkit.transform import Transform
from tests.studies._populations import BALLS, continuum, mixture
from tests.studies._retail import customer_table
from tests.studies._study import arguments, over_seeds, publish, rate

NULLS = ("normal", "uniform", "disk", "lognormal", "rfm_log", "rfm_raw")
LEVELS = ("normal", "t3", "uniform", "simplex", *BALLS, "lognormal", "rfm_log")
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
REPORTED = 6000  # first seed of the reports
REFERENCES = 19
KS = range(2, 6)


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
    found = assess_structure(X, k_range=KS, n_null=REFERENCES, n_refits=20, seed=seed)
    return {
        "setting": setting,
        "seed": seed,
        "customers": found.n,
        "verdict": found.verdict,
        "right_k": found.natural_k == k,
    }


def report(seed):
    """One retailer without segments: does notebook 05 say that its segments are natural?"""
    table, variables, _ = customer_table(CUSTOMERS, seed=seed, structure="none")
    X = Transform.propose(table, variables).fit(table).apply(table)
    choice = choose_k(X, k_range=range(2, 11), seed=seed)
    found = assess_structure(X, k=choice.k, n_null=39, seed=seed, choice=choice)
    return {
        "seed": seed,
        "k": choice.k,
        "verdict": found.verdict,
        "any_k": found.p_value <= found.alpha,
    }


def level(setting, seed):
    """One data set without groups: does it stand out from all references of both kinds?"""
    X = continuum(seed, setting, n=N)
    deepest = deepest_valley(X, seed)
    rng = np.random.default_rng([seed, 3])
    kinds = (elliptical_reference(X), null_reference(X, seed=seed))
    references = ((kind, draw) for kind in kinds for draw in range(REFERENCES))
    natural = all(deepest_valley(kind.draw(N, rng), seed) < deepest for kind, _ in references)
    return {"setting": setting, "seed": seed, "natural": natural}


def deepest_valley(X, seed):
    """Return the test statistic, as `assess_structure` computes it."""
    with single_thread():
        segmentations = Clustering("ward", seed, 5).over_k(X, list(KS)).values()
    return max(shallowest_valley(X, codes, int(codes.max()) + 1).z for codes in segmentations)


def publish_levels(options):
    """Run the level's cells and write one row per setting."""
    cells = [(s, FIRST + seed) for seed in range(options.seeds) for s in LEVELS]
    keep = options.keep and f"{options.keep}.level"
    found = over_seeds(level, cells, jobs=options.jobs, keep=keep, as_is=options.as_is)
    rows = []
    for (setting,), part in found.group_by("setting", maintain_order=True):
        hits = int(part["natural"].sum())
        exact = binomtest(hits, part.height).proportion_ci()
        row = {"setting": setting, "n": part.height, "rate": hits / part.height}
        rows.append({**row, "low": exact.low, "high": exact.high})
    publish(
        pl.DataFrame(rows),
        "null_level",
        thin=options.thin,
        note=f"Rate of 'natural' at level .05 among {N} customers without groups (Ward, "
        f"{REFERENCES} references of each kind,\nk = 2..5), Clopper-Pearson 95% interval. Seeds "
        f"from {FIRST} on; the balls, the disk and the simplex are filled uniformly.",
    )


def publish_reports(options):
    """Run the retailers without segments as notebook 05 does, and write one row."""
    cells = [(REPORTED + seed,) for seed in range(options.seeds)]
    keep = options.keep and f"{options.keep}.report"
    found = over_seeds(report, cells, jobs=options.jobs, keep=keep, as_is=options.as_is)
    natural = int((found["verdict"] == "natural").sum())
    row = {"setting": "retailer without segments", **rate(natural, found.height)}
    publish(
        pl.DataFrame({**row, "any_k": found["any_k"].mean(), "k": found["k"].median()}),
        "null_report",
        thin=options.thin,
        note="Rate of reports that call segments natural where there are none (choose_k over 2 to "
        "10, then the\nstructure test with 39 references on the number recommended), Wilson 95% "
        f"interval. {CUSTOMERS} customers\nbefore the intake, medium difficulty; any_k: at some k "
        f"of 2 to 10; k: the median recommended. Seeds from {REPORTED} on.",
    )


def main():
    """Run the cells and write one row per setting."""
    options = arguments(__doc__, seeds=200, thin=2)
    publish_reports(options)
    publish_levels(options)
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
        "the true one; reproducible: rate of that verdict (20 refits).\nThe retailers are "
        f"simulated (medium difficulty, {CUSTOMERS} customers before the intake) and come by the "
        "case study's way.\n"
        f"Seeds from {FIRST} on.",
    )


if __name__ == "__main__":
    main()
