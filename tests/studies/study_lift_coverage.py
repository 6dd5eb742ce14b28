"""Do nominal 95% intervals cover, and how often does a campaign that does nothing raise an alarm?

``python -m tests.studies.study_lift_coverage --seeds 2000 --jobs 1``: differences and the four
relative intervals of shares, at 50/50 and 90/10 (arm/holdout), control rates of 0.5% to 20%, by the
holdout's expected conversions. Cells with at least 10 are held to the nominal level: the one-sided
binomial test against .95, Holm over a method's cells. Cells below 10 are shown, and in each the
share of campaigns that `compare_arms` marks ``few``.
"""

import numpy as np
import polars as pl
from scipy.stats import binomtest

from segkit.lift.effects import KPIS, compare_arms
from segkit.lift.sums import Sums
from segkit.stats.hypotheses import adjust
from tests.studies._study import arguments, over_seeds, publish, rate

RATES = (0.005, 0.02, 0.05, 0.20)
EXPECTED = (3, 10, 30, 100)  # conversions in the holdout
SHARES = (0.5, 0.9)  # of the arm
LIFT = 0.3
METHODS = ("recovered", "log", "fieller", "delta")
CONVERSION = KPIS[0]


def counts(x1, n1, x2, n2):
    """Make the sums of two arms from their counts, as one scan would."""
    n = np.array([[n1, n2]], dtype=float)
    totals = np.array([[[x1], [x2]]], dtype=float)
    squares, none = totals[..., None], np.zeros(totals.shape)
    return Sums(
        ("all",), ("arm", "none"), ("converted",), np.zeros(1), n, totals, totals, none, totals,
        squares, squares,
    )  # fmt: skip


def campaign(p, expected, share, seed, repeats):
    """Campaigns of one cell: coverage of the difference and of four relative lifts, flags."""
    random = np.random.default_rng([seed, int(p * 1000), expected, int(share * 10)])
    n2 = round(expected / p)
    n1 = round(n2 * share / (1 - share))
    p1 = p * (1 + LIFT)
    hits = dict.fromkeys(("difference", *METHODS, "few", "null_alarm", "unbounded"), 0)
    for _ in range(repeats):
        sums = counts(random.binomial(n1, p1), n1, random.binomial(n2, p), n2)
        for method in METHODS:
            found = compare_arms(CONVERSION, sums, None, (0, 1), relative=method)
            hits[method] += found.relative.low <= LIFT <= found.relative.high
            if method == "fieller":
                hits["unbounded"] += np.isinf(found.relative.high)
        hits["difference"] += found.difference.low <= p1 - p <= found.difference.high
        hits["few"] += found.few
        null = counts(random.binomial(n1, p), n1, random.binomial(n2, p), n2)
        hits["null_alarm"] += compare_arms(CONVERSION, null, None, (0, 1)).p_value <= 0.05
    return {"rate": p, "expected": expected, "share": share, "n_holdout": n2, "n_arm": n1, **hits}


def main():
    """Run the cells, hold them to their level, and publish one row per cell and method."""
    options = arguments(__doc__, seeds=2000, thin=200)
    cells = [
        (p, expected, share, 0, options.seeds)
        for p in RATES
        for expected in EXPECTED
        for share in SHARES
    ]
    found = over_seeds(campaign, cells, jobs=options.jobs)
    rows = []
    for method in ("difference", *METHODS):
        for cell in found.iter_rows(named=True):
            kept = {name: cell[name] for name in ("rate", "expected", "share")}
            sizes = {name: cell[name] for name in ("n_holdout", "n_arm")}
            got = rate(cell[method], options.seeds)
            short = binomtest(cell[method], options.seeds, 0.95, alternative="less").pvalue
            flagged = cell["few"] / options.seeds
            rows.append(
                {"interval": method, "control_rate": kept.pop("rate"), **kept, **sizes,
                 "coverage": got.pop("rate"), **got, "p_short": short, "few_share": flagged}
            )  # fmt: skip
    table = pl.DataFrame(rows)
    held = table.filter(pl.col("expected") >= 10)
    judged = pl.concat(
        part.with_columns(p_holm=pl.Series(adjust(part["p_short"].to_numpy())))
        for part in held.partition_by("interval", maintain_order=True)
    )
    below = table.filter(pl.col("expected") < 10).with_columns(p_holm=pl.lit(None, pl.Float64))
    alarms = found.filter(pl.col("expected") >= 10)["null_alarm"].sum()
    total = options.seeds * found.filter(pl.col("expected") >= 10).height
    short = {m: judged.filter(pl.col("interval") == m, pl.col("p_holm") < 0.05).height
             for m in ("difference", *METHODS)}  # fmt: skip
    note = (
        f"{options.seeds} campaigns a cell, true lift {LIFT:.0%}; coverage of nominal 95%, with "
        "Wilson limits.\nFalling short at 5% (Holm over cells with >= 10 expected holdout "
        f"conversions): {short} of {judged.height // (1 + len(METHODS))} each.\nFalse alarms of "
        f"campaigns without effect at .05, those cells together: {alarms / total:.4f} of {total}."
    )
    publish(pl.concat([judged, below]), "lift_coverage", thin=options.thin, note=note)
    print(note)
    if short["difference"] or short["recovered"]:
        raise SystemExit(f"intervals fall short of their level: {short}")


if __name__ == "__main__":
    main()
