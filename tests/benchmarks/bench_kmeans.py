"""k-means beside ten full starts of scikit-learn's; a Parquet file of ten million, step by step.

``python -m tests.benchmarks.bench_kmeans [--quick]``. Ratios are medians over rounds in which both
run one after the other, each in one thread (`segkit.stats.threads`): small BLAS and OpenMP jobs
run slower with two on a busy machine.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from tests.benchmarks.bench_ward import data, resident_mib

K, STARTS = 8, 10
CHILD = "--parquet-child"


def timed(call):
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def kmeans(n, rounds):
    from sklearn.cluster import KMeans

    from segkit.cluster.kmeans import fit_kmeans
    from segkit.stats.threads import single_thread

    X = data(n)
    fit_kmeans(X[:1000], K), KMeans(K, n_init=1).fit(X[:1000])
    ratios, mine, others, gaps = [], [], [], []
    for seed in range(rounds):
        with single_thread():
            took, ours = timed(lambda s=seed: fit_kmeans(X, K, starts=STARTS, seed=s))
            other, peers = timed(
                lambda s=seed: KMeans(K, n_init=STARTS, tol=1e-4, random_state=s).fit(X)
            )
        ratios.append(other / took)
        mine.append(took)
        others.append(other)
        gaps.append(ours.within_ss / peers.inertia_ - 1)
    print(
        f"k-means, {n:,} x 8, k = {K}: segkit ({STARTS} starts on 20,000, one full run) "
        f"{statistics.median(mine):.2f} s, scikit-learn ({STARTS} full starts) "
        f"{statistics.median(others):.2f} s: {statistics.median(ratios):.1f}x (aim 12x); "
        f"sum of squares {max(gaps):+.2e} of scikit-learn's at the worst of {rounds}",
        flush=True,
    )
    return statistics.median(ratios), max(gaps)


def child(path, out):
    """Cluster a Parquet file in this fresh process and tell where the time went."""
    from segkit.cluster.batches import cluster_parquet

    warm = pl.scan_parquet(path).head(2_000).collect()
    features = [name for name in warm.columns if name != "customer_id"]
    small = Path(out).with_name("warm.parquet")
    warm.write_parquet(small)
    cluster_parquet(small, Path(out).with_name("warm_out.parquet"), features=features, k=K)
    before = resident_mib("VmRSS")
    took, done = timed(lambda: cluster_parquet(path, out, features=features, k=K))
    peak = resident_mib("VmHWM")
    print(
        json.dumps({"seconds": took, "peak_mib": peak, "extra_mib": peak - before, **done.seconds})
    )


def parquet(n):
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "customers.parquet", Path(folder) / "out.parquet"

        def make():
            X = data(n)
            frame = pl.DataFrame({f"x{j}": X[:, j] for j in range(8)})
            frame.with_columns(customer_id=pl.format("c{}", pl.int_range(n))).write_parquet(path)

        made, _ = timed(make)
        command = [sys.executable, "-m", "tests.benchmarks.bench_kmeans", CHILD, path, out]
        done = subprocess.run([str(w) for w in command], check=True, capture_output=True, text=True)
        got = json.loads(done.stdout.strip().splitlines()[-1])
    print(
        f"cluster_parquet, {n:,} x 8, k = {K}: {got['seconds']:.1f} s in all (drawing the sample "
        f"{got['sample']:.1f}, fitting it {got['fit']:.1f}, scoring and writing "
        f"{got['assign']:.1f}); peak {got['peak_mib'] / 1024:.2f} GiB (aim: under 2). Making the "
        f"file took {made:.1f} s and is not counted",
        flush=True,
    )


def main():
    if CHILD in sys.argv:
        at = sys.argv.index(CHILD)
        child(Path(sys.argv[at + 1]), Path(sys.argv[at + 2]))
        return
    quick = "--quick" in sys.argv
    kmeans(100_000 if quick else 1_000_000, 1 if quick else 3)
    parquet(200_000 if quick else 10_000_000)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
