"""How near does the two-step clustering come to exact Ward, and does weighting matter?

Exact Ward and the two-step way divide the same 20,000 customers; beside them stand exact Ward on
the same customers moved by 1% of a standard deviation, and the two-step way whose tree takes every
micro-cluster for one customer. Sums of squares are given as shares of exact Ward's, agreement as
the adjusted Rand index with exact Ward.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.metrics import adjusted_rand_score

from segkit.cluster.kmeans import centres_of, nearest_centre, order_groups, within_ss
from segkit.cluster.twostep import fit_two_step
from segkit.cluster.ward import cut_tree, ward_linkage
from tests.studies._populations import continuum, mixture
from tests.studies._study import arguments, over_seeds, publish, rate

N = 20_000
KS = range(3, 11)
SETTINGS = ("skewed, overlapping", "5 groups, 6 sd apart")
NEAR, LITERAL = 0.98, 1.03


def population(setting: str, seed: int, n: int) -> np.ndarray:
    """Draw customers by eight features."""
    if setting == SETTINGS[1]:
        return mixture(seed, k=5, d=8, n=n)[0]
    skewed = [continuum([seed, part], "lognormal", n=n) for part in range(3)]
    return np.log1p(np.concatenate(skewed, axis=1)[:, :8])


def comparison(setting: str, seed: int, n: int) -> list[dict[str, object]]:
    """Divide one population every way, for each k."""
    X = population(setting, seed, n)
    moved = X + 0.01 * X.std(axis=0) * np.random.default_rng([seed, 9]).normal(size=X.shape)
    exact, again = ward_linkage(X), ward_linkage(moved)
    tree = fit_two_step(X, seed=seed)
    plain = ward_linkage(tree.centres)
    rows = []
    for k in KS if setting == SETTINGS[0] else [5]:
        ward = cut_tree(exact, k)
        square = within_ss(X, ward)
        near, literal = tree.assign(X, k), tree.groups(k)[nearest_centre(X, tree.centres)]
        groups = order_groups(tree.centres, cut_tree(plain, k), np.ones(len(tree.centres)))
        unweighted = nearest_centre(X, centres_of(tree.centres, groups))
        rows.append(
            {
                "setting": setting,
                "seed": seed,
                "k": k,
                "two_step": within_ss(X, near) / square,
                "literal": within_ss(X, literal) / square,
                "unweighted": within_ss(X, unweighted) / square,
                "agreement": adjusted_rand_score(ward, near),
                "agreement_literal": adjusted_rand_score(ward, literal),
                "agreement_unweighted": adjusted_rand_score(ward, unweighted),
                "agreement_jittered": adjusted_rand_score(ward, cut_tree(again, k)),
            }
        )
    return rows


def task(setting: str, seed: int, n: int) -> dict[str, object]:
    """Wrap the rows of one population."""
    return {"rows": comparison(setting, seed, n)}


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=1)
    n = 4_000 if options.thin else N
    cells = [(setting, seed, n) for seed in range(options.seeds) for setting in SETTINGS]
    found = over_seeds(task, cells, jobs=options.jobs)
    rows = pl.DataFrame([row for rows in found["rows"] for row in rows])
    lines = []
    for (setting, k), part in rows.group_by("setting", "k", maintain_order=True):
        means = {name: part[name].mean() for name in rows.columns[3:]}
        below = rate(int((part["two_step"] <= 1).sum()), part.height)
        close = rate(int((part["literal"] <= LITERAL).sum()), part.height)
        lines.append(
            {"setting": setting, "k": k, "seeds": part.height}
            | means
            | {
                "literal_worst": part["literal"].max(),
                "not_above_rate": below["rate"],
                "not_above_low": below["low"],
                "literal_within_rate": close["rate"],
                "near_rate": (part["agreement"] >= NEAR).mean(),
            }
        )
    note = (
        f"{n} customers, 8 features; two_step, literal, unweighted: within sum of squares as a "
        "share of exact Ward's (means);\nagreement...: adjusted Rand index with exact Ward "
        "(means), jittered: exact Ward's with itself after a 1% jitter;\nnot_above: two-step's sum "
        f"of squares not above exact Ward's; literal_within: literal cut within {LITERAL}; near: "
        f"agreement of {NEAR} or more."
    )
    publish(pl.DataFrame(lines), "two_step", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
