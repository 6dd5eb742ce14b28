"""Stability at 100,000 x 8 against a loop of full k-means refits.

``python -m tests.benchmarks.bench_stability``; ``--quick``: 20,000 rows. Both refit to bootstrap
samples with every copy counted. A few refits are timed, one of ours and one of theirs in turn, and
scaled to B = 100: each takes as long as the others.
"""

import sys
import time

import numpy as np
from sklearn.cluster import KMeans

from segkit.cluster.agreement import jaccard, overlaps
from segkit.cluster.refits import RefitPlan, compare_refits, refit_samples
from segkit.stats.threads import single_thread

REFITS = 20


def population(n):
    """Skewed, overlapping customers: the hard case."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(6, 8)) * 1.2
    X = centres[rng.integers(6, size=n)] + rng.normal(size=(n, 8)) @ rng.normal(size=(8, 8)) / 2.5
    X = X + 0.4 * np.exp(0.6 * rng.normal(size=(n, 8)))
    return (X - X.mean(axis=0)) / X.std(axis=0)


def naive(X, cut, k, *, starts, seed):
    """Refit k-means in full to a bootstrap sample, as one would write it; Jaccard coefficients."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(X), size=len(X))
    labels = KMeans(k, n_init=starts, random_state=seed).fit(X[drawn]).predict(X)
    seen = np.unique(drawn)
    return jaccard(overlaps(cut[seen], labels[seen].astype(np.int64), k, k))


def seconds(task, *arguments, **options):
    started = time.process_time()
    value = task(*arguments, **options)
    return time.process_time() - started, value


def refit(X, cut, plan, *, numbers, seed):
    """Refit as the stability does; Jaccard coefficients."""
    refits = refit_samples(X, plan, numbers, seed=seed)
    return compare_refits(refits, {int(cut.max()) + 1: cut})


def compare(X, k, refits=REFITS):
    """Time our refits and theirs in turn, two at a time; print both answers, return the ratio."""
    cut = KMeans(k, n_init=10, random_state=0).fit(X).labels_.astype(np.int64)
    plan = RefitPlan((k,), "kmeans", 5, repeats="weighted")
    ours, theirs, one = [], [], []
    for first in range(0, refits, 2):
        ours.append(seconds(refit, X, cut, plan, numbers=range(2), seed=first))
        theirs += [seconds(naive, X, cut, k, starts=5, seed=first + i) for i in (0, 1)]
        one.append(naive(X, cut, k, starts=1, seed=first))
    mine = sum(t for t, _ in ours) / refits
    other = sum(t for t, _ in theirs) / refits
    found = np.concatenate([v.jaccard[k] for _, v in ours])
    reference = np.array([v for _, v in theirs])
    off = np.abs(found.mean(axis=0) - reference.mean(axis=0))
    print(
        f"k = {k}, {len(X):,} x 8, B = 100: ours {mine * 100:6.1f} s of processor time, naive "
        f"with 5 starts {other * 100:6.1f} s, {other / mine:5.1f}x (aim 8x)\n"
        f"  mean Jaccard {found.mean():.3f} against {reference.mean():.3f}; a segment's "
        f"error {off.mean():.3f} on average (aim .05), {off.max():.3f} at most; with one "
        f"start the loop would say {np.mean(one):.3f}",
        flush=True,
    )
    return other / mine


def main():
    X = population(20_000 if "--quick" in sys.argv else 100_000)
    with single_thread():
        for k in (4, 8):
            compare(X, k)


if __name__ == "__main__":
    main()
