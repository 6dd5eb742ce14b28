"""How often do segments seem to differ where the effect is the same in all? And where not?

``python -m tests.studies.study_heterogeneity --seeds 2000 --jobs 1``

Five segments of unequal size, conversion 6% to 30%, revenue mostly zeros with a skewed rest.
Cochran's Q weighted by the segments' own errors beside Q by their errors under equal effects.
"""

import numpy as np
import polars as pl
from scipy.stats import binomtest

from segkit.stats.group_effects import heterogeneity, mean_errors, share_errors
from tests.studies._study import arguments, over_seeds, publish, rate
from tests.studies.study_lift_campaigns import BASE, SHARE

SPLITS, SIZES = (0.1, 0.5, 0.9), (1_500, 4_000, 20_000)
GAINS = {
    "none": np.zeros(5),
    "equal": np.full(5, 0.03),
    "different": np.array([0.0, 0.0, 0.05, 0.1, 0.1]),
}


def once(seed):
    """Draw one campaign a cell; say which tests alarm."""
    row = {}
    for split in SPLITS:
        for n in SIZES:
            for name, gain in GAINS.items():
                random = np.random.default_rng([seed, n, int(10 * split), len(name)])
                group, arm = random.choice(5, n, p=SHARE), random.random(n) < split
                bought = random.random(n) < BASE[group] + gain[group] * arm
                spent = np.where(bought, 30 * random.lognormal(-0.32, 0.8, n), 0.0)
                found = alarms(2 * group + arm, bought.astype(float), spent)
                row |= {f"{what}|{split}|{n}|{name}": hit for what, hit in found.items()}
    return row


def alarms(cell, bought, spent):
    """Test conversion and revenue, by own errors and by those under equal effects."""

    def table(values):
        return np.bincount(cell, values, minlength=10).reshape(5, 2)

    n, x = table(np.ones(len(cell))), table(bought)
    (n2, n1), (x2, x1) = n.T, x.T
    p = x / n
    parts = {"conversion": (p, p * (1 - p) / n, share_errors(x1, n1, x2, n2))}
    mean = table(spent) / n
    variance = (table(spent**2) - n * mean**2) / (n - 1) / n
    leaning = mean_errors(variance[:, 1], n1, x1, variance[:, 0], n2, x2)
    parts["revenue"] = (mean, variance, leaning)
    found = {}
    for name, (value, squares, equal) in parts.items():
        d, s = value[:, 1] - value[:, 0], np.sqrt(squares.sum(axis=1))
        found[f"{name}|own"] = heterogeneity(d, s).p_value < 0.05
        found[f"{name}|equal"] = heterogeneity(d, s, equal_errors=equal).p_value < 0.05
    return {key: bool(hit) for key, hit in found.items()}


def main():
    """Publish one row per quantity and cell."""
    options = arguments(__doc__, seeds=2000, thin=200)
    found = over_seeds(once, [(seed,) for seed in range(options.seeds)], jobs=options.jobs)
    rows, short = [], []
    for name in [c for c in found.columns if "|own|" in c]:
        what, _, split, n, gain = name.split("|")
        new = found[name.replace("|own|", "|equal|")]
        told = rate(int(new.sum()), len(new))
        old = float(found[name].mean())
        rows.append(
            {"what": what, "arm_share": float(split), "customers": int(n), "effect": gain,
             "alarms_own_errors": old, "alarms": told["rate"], "low": told["low"],
             "high": told["high"]}
        )  # fmt: skip
        if gain != "different" and binomtest(int(new.sum()), len(new), 0.05,
                                             alternative="greater").pvalue < 0.05 / 36:  # fmt: skip
            short.append(f"{what} {split} {n} {gain}")
    publish(
        pl.DataFrame(rows),
        "heterogeneity",
        thin=options.thin,
        note=f"{options.seeds} campaigns a row; share with p < .05 of Cochran's Q by the segments' "
        "own errors (as textbooks have it) and by those under equal effects (as `measure_lift` "
        "does).\neffect: none; equal = 3 points in every segment (and so much revenue); "
        "different = 0 to 10 points: there alarms are power.\n"
        f"Above 5% by more than chance (Bonferroni): {', '.join(short) or 'none'}.",
    )
    if options.thin and short:
        raise SystemExit(f"above their level: {short}")


if __name__ == "__main__":
    main()
