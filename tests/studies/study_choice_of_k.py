"""How often is the recommended number of segments the true one?

``python -m tests.studies.study_choice_of_k --seeds 200 --jobs 2``
"""

import polars as pl

from segkit.cluster.choose import choose_k
from segkit.cluster.criteria import QUICK, VOTERS
from tests.studies._populations import mixture
from tests.studies._study import arguments, over_seeds, publish, rate

SETTINGS = {
    "round, 6 sd apart": {"apart": 6.0},
    "long, 6 sd apart": {"apart": 6.0, "shape": "long"},
    "skewed, 6 sd apart": {"apart": 6.0, "shape": "skewed"},
    "round, 4 sd apart": {"apart": 4.0},
}
N = 400


def choice(setting, criteria, seed):
    """One mixture with 3 to 6 groups in 4 dimensions: each criterion's vote, and the outcome."""
    k = 3 + seed % 4
    X, _ = mixture(seed, k=k, n=N, **SETTINGS[setting])
    found = choose_k(X, criteria=criteria, n_draws=8, seed=seed)
    votes = dict(zip(found.votes["criterion"], found.votes["k"], strict=True))
    return {
        "setting": setting,
        "criteria": "all, the default" if len(criteria) > 3 else "quick",
        "k": k,
        "seed": seed,
        "recommended": found.k,
        **votes,
    }


def main():
    """Run the cells and write one row per setting and voter."""
    options = arguments(__doc__, seeds=200, thin=4)
    cells = [
        (setting, criteria, seed)
        for seed in range(options.seeds)
        for setting in SETTINGS
        for criteria in (QUICK, VOTERS)
    ]
    found = over_seeds(choice, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    rows = []
    for (setting, kind), part in found.group_by("setting", "criteria", maintain_order=True):
        for voter in ("recommended", *(QUICK if kind == "quick" else VOTERS)):
            hits = int((part[voter] == part["k"]).sum())
            rows.append(
                {"setting": setting, "criteria": kind, "voter": voter, **rate(hits, part.height)}
            )
    publish(
        pl.DataFrame(rows),
        "choice_of_k",
        thin=options.thin,
        note=f"Rate of the true k (3 to 6 groups of {N} customers, 4 features, Ward, k = 2..10), "
        "Wilson 95% interval.",
    )


if __name__ == "__main__":
    main()
