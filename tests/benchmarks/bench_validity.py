"""Indices of validity against scikit-learn's: ``python -m tests.benchmarks.bench_validity``.

Medians of the ratios of interleaved runs; ``--quick`` on a tenth of the rows.
"""

import sys
import time
from statistics import median

import numpy as np
from sklearn import metrics
from sklearn.cluster import KMeans

from segkit.cluster.matrix import as_segmentation
from segkit.cluster.validity import (
    calinski_harabasz,
    cluster_sums,
    davies_bouldin,
    silhouette,
    squared_silhouettes,
)
from segkit.stats.threads import single_thread


def seconds(task):
    started = time.perf_counter()
    value = task()
    return time.perf_counter() - started, value


def sums_of(X, labels):
    matrix, codes, k = as_segmentation(X, labels)
    return matrix, codes, cluster_sums(matrix, codes, k)


def calinski_harabasz_index(X, labels):
    return calinski_harabasz(sums_of(X, labels)[2], len(X))


def davies_bouldin_index(X, labels):
    return davies_bouldin(sums_of(X, labels)[2])


def squared_silhouette_samples(X, labels):
    return squared_silhouettes(*sums_of(X, labels))


def compare(name, ours, theirs, *, runs, aim):
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(runs)]
    ratio = median(other[0] / mine[0] for other, mine in pairs)
    mine, other = (median(pair[i][0] for pair in pairs) for i in (1, 0))
    print(
        f"{name:<44} ours {mine * 1e3:10.1f} ms   scikit-learn {other * 1e3:10.1f} ms   "
        f"{ratio:7.1f}x (aim {aim}x)",
        flush=True,
    )
    return pairs[-1][1][1], pairs[-1][0][1]


def main():
    scale = 10 if "--quick" in sys.argv else 1
    rng = np.random.default_rng(0)
    X = np.log1p(np.exp(rng.normal(size=(100_000 // scale, 8)) @ rng.normal(size=(8, 8)) / 2))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    with single_thread():
        labels = KMeans(8, n_init=1, random_state=0).fit_predict(X).astype(np.int64)
        size = f"{len(X):,} x 8"
        for ours, theirs in (
            (calinski_harabasz_index, metrics.calinski_harabasz_score),
            (davies_bouldin_index, metrics.davies_bouldin_score),
        ):
            a, b = compare(
                f"{ours.__name__} {size}", lambda f=ours: f(X, labels),
                lambda f=theirs: f(X, labels), runs=7, aim=2,
            )  # fmt: skip
            assert abs(a - b) <= 1e-9 * abs(b)
        Y, own = X[: 50_000 // scale], labels[: 50_000 // scale]
        closed, exact = compare(
            f"squared silhouette, closed form {len(Y):,} x 8",
            lambda: squared_silhouette_samples(Y, own).mean(),
            lambda: metrics.silhouette_score(Y, own),
            runs=3 if scale > 1 else 1, aim=300,
        )  # fmt: skip
        print(f"  squared Euclidean {closed:.4f}, Euclidean {exact:.4f}: two different things")
        few = 5_000
        gap = squared_silhouette_samples(Y[:few], own[:few]) - metrics.silhouette_samples(
            Y[:few], own[:few], metric="sqeuclidean"
        )
        print(
            f"  closed form less the exact squared one at {few:,}: {np.abs(gap).max():.1e} at most"
        )
        took, sampled = seconds(lambda: silhouette(Y, own))
        print(
            f"  Euclidean from {sampled.rows:,} rows: {sampled.mean:.4f} +- "
            f"{sampled.se:.4f} in "
            f"{took:.2f} s, "
            f"{(sampled.mean - exact) / max(sampled.se, 1e-12):+.1f} of them off"
        )
        took, blocks = seconds(lambda: silhouette(Y, own, rows=len(Y)))
        print(
            f"  Euclidean in blocks, all rows: {took:.1f} s, off by {abs(blocks.mean - exact):.1e}"
        )


if __name__ == "__main__":
    main()
