"""Exact Ward beside scipy's linkage, and two-step Ward beside exact: ``--quick`` for small sizes.

Time ratios are medians over rounds in which both run one after the other, in one process; memory
is each child process's peak above what it held once imports and data were there.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROUNDS = 3
CHILD = "--child"


def data(n, d=8, seed=0):
    """Skewed, overlapping columns, as transformed customer tables are."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 5, n)
    return np.log1p(np.exp(rng.normal(size=(n, d)) + rng.normal(size=(5, d))[kind]))


def seconds(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def ours(X):
    from segkit.cluster.ward import ward_linkage

    return ward_linkage(X)


def scipys(X):
    from scipy.cluster.hierarchy import linkage

    return linkage(X, "ward")


def resident_mib(field):
    """Resident memory of this process: VmRSS now, VmHWM at its peak (not the parent's, Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def child(which, n):
    call = {"segkit": ours, "scipy": scipys}[which]
    X = data(n)
    call(X[:200])  # imports and buffers
    before = resident_mib("VmRSS")
    took, tree = seconds(lambda: call(X))
    total = float((tree[:, 2] ** 2).sum() / 2)
    print(json.dumps({"mib": resident_mib("VmHWM") - before, "seconds": took, "total": total}))


def in_child(which, n):
    command = [sys.executable, "-m", "tests.benchmarks.bench_ward", CHILD, which, str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def exact(n, rounds):
    X = data(n)
    ours(X[:500]), scipys(X[:500])
    times = []
    for _ in range(rounds):
        one, tree = seconds(lambda: ours(X))
        other, theirs = seconds(lambda: scipys(X))
        times.append((other / one, one, other))
    gap = float(np.abs(tree - theirs).max())
    ratio, one, other = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"exact Ward, {n:,} x 8: segkit {one:.2f} s, scipy {other:.2f} s, {ratio:.1f}x faster "
        f"(median of {rounds}); largest difference of the linkage {gap:.1e}"
    )
    mine, peers = in_child("segkit", n), in_child("scipy", n)
    print(
        f"  extra memory: segkit {mine['mib']:.0f} MiB, scipy {peers['mib']:.0f} MiB, "
        f"1/{peers['mib'] / max(mine['mib'], 0.1):.0f}"
    )


def alone(n):
    got = in_child("segkit", n)
    print(
        f"exact Ward, {n:,} x 8: {got['seconds']:.1f} s, {got['mib']:.0f} MiB extra "
        f"(scipy's distances alone would take {n * (n - 1) / 2 * 8 / 2**30:.1f} GiB)"
    )


def two(n, rounds, k=8):
    from segkit.cluster.twostep import fit_two_step

    X = data(n)
    fit_two_step(X[:2000], micro=50, sample=500)
    fits, assigns = [], []
    for _ in range(rounds):
        took, tree = seconds(lambda: fit_two_step(X))
        fits.append(took)
        took, _ = seconds(lambda tree=tree: tree.assign(X, k))
        assigns.append(took)
    print(
        f"two-step, {n:,} x 8, k = {k}: tree {statistics.median(fits):.2f} s, assignment "
        f"{statistics.median(assigns):.2f} s (median of {rounds})"
    )


def main():
    if CHILD in sys.argv:
        at = sys.argv.index(CHILD)
        child(sys.argv[at + 1], int(sys.argv[at + 2]))
        return
    quick = "--quick" in sys.argv
    exact(4_000 if quick else 20_000, ROUNDS)
    alone(8_000 if quick else 50_000)
    two(100_000 if quick else 1_000_000, ROUNDS)
    if not quick:
        two(10_000_000, 1)


if __name__ == "__main__":
    main()
