"""How far do segments of mixed columns survive missing values?

``python -m tests.studies.study_missing --seeds 200 --jobs 2``
"""

import numpy as np
import polars as pl

from segkit.cluster.mixed_types import cluster_mixed
from tests.studies._study import arguments, over_seeds, publish

METHODS = ("medoids", "hierarchical", "prototypes")
SHARES = (0.01, 0.05, 0.2, 0.4)
WHERE = {"the category": ["status"], "the number": ["age"], "every column": None}
N = 200
NOTE = """Two groups of 100 customers on average, apart in a number (6 standard deviations) and in a
category, not in a second of each; values missing completely at random. accuracy: mean over seeds
of the share of customers in the right one of two segments, with its 95% interval; worst: the
lowest. Chance gives about .53."""


def retailer(seed):
    """Draw customers of two groups: age and status tell them apart, spend and gender do not."""
    rng = np.random.default_rng([seed, 5])
    group = rng.integers(0, 2, N)
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(N)],
            "age": 25 + group * 24 + rng.normal(0, 4, N),
            "spend": 100 + rng.normal(0, 30, N),
            "gender": np.array(["M", "F"])[rng.integers(0, 2, N)],
            "status": np.array(["single", "married"])[group],
        }
    )
    return frame, group, rng


def punch(frame, columns, share, rng):
    """Leave cells out at random, but none of a customer who would have no value left."""
    names = columns or frame.columns[1:]
    holes = rng.random((frame.height, len(names))) < share
    holes[holes.sum(axis=1) == frame.width - 1, 0] = False
    return frame.with_columns(
        pl.when(~pl.Series(holes[:, place])).then(name).alias(name)
        for place, name in enumerate(names)
    )


def accuracy(seed, share, where):
    """Cluster one retailer by each method, and count who is in the right segment."""
    frame, group, rng = retailer(seed)
    given = punch(frame, WHERE.get(where), share, rng) if share else frame
    row = {"missing": where, "share": share, "seed": seed}
    for method in METHODS:
        found = cluster_mixed(
            given, numeric=["age", "spend"], categorical=["gender", "status"], k=2, method=method,
            starts=3, seed=seed,
        )  # fmt: skip
        placed = found.assignments.sort("customer_id")["segment"].to_numpy() == "S1"
        right = float((placed == group).mean())
        row[method] = max(right, 1 - right)
    return row


def main():
    """Run the cells and write one row per kind of missingness, share and method."""
    options = arguments(__doc__, seeds=200, thin=2)
    kinds = [("nothing", 0.0), *((where, share) for where in WHERE for share in SHARES)]
    cells = [(seed, share, where) for seed in range(options.seeds) for where, share in kinds]
    found = over_seeds(accuracy, cells, jobs=options.jobs)
    rows = []
    for (where, share), part in found.group_by("missing", "share", maintain_order=True):
        for method in METHODS:
            values = part[method].to_numpy()
            error = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
            rows.append(
                {
                    "missing": where, "share": share, "method": method, "n": len(values),
                    "accuracy": values.mean(), "low": values.mean() - error,
                    "high": values.mean() + error, "worst": values.min(),
                }
            )  # fmt: skip
    publish(pl.DataFrame(rows), "missing", thin=options.thin, note=NOTE)


if __name__ == "__main__":
    main()
