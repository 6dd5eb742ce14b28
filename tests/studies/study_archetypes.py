"""How near do the segments come to the planted archetypes, and how near could they?

For each difficulty and seed a retailer is simulated, dirty as it ships, and goes the case study's
way: identities linked, intake, customer table, `choose_variables`, `cluster_customers` with k = 5.
The adjusted Rand index with the archetypes stands beside that of an oracle: a random forest that is
shown the archetypes of four fifths of the customers, with the same variables.
"""

import numpy as np
import polars as pl

import segkit
from tests.studies._retail import customer_table
from tests.studies._study import arguments, over_seeds, publish, rate

DIFFICULTIES = ("easy", "medium", "hard")
AIM = 0.9
CUSTOMERS = 1000


def task(difficulty: str, seed: int, customers: int) -> dict[str, object]:
    """Grade Ward and k-means on one retailer."""
    table, variables, truth = customer_table(customers, seed=seed, difficulty=difficulty)
    archetypes = truth.select("customer_id", segment="archetype")
    row: dict[str, object] = {"difficulty": difficulty, "seed": seed}
    found = segkit.cluster_customers(table, features=variables, k=5)
    graded = segkit.cluster.grade_segments(found.assignments, truth, table, variables, seed=seed)
    row |= {"oracle": graded.oracle, "ward": graded.adjusted_rand}
    for name, options in (
        ("literal_cut", {"settle_steps": 0}),
        ("kmeans", {"method": "kmeans", "seed": seed}),
    ):
        other = segkit.cluster_customers(table, features=variables, k=5, **options)
        row[name] = segkit.cluster.compare_assignments(other.assignments, archetypes).adjusted_rand
    return row


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Average over seeds, with the Monte Carlo interval of each mean's ratio to the oracle's."""
    lines = []
    for difficulty in DIFFICULTIES:
        part = rows.filter(pl.col("difficulty") == difficulty)
        oracle = part["oracle"].to_numpy()
        for method in ("ward", "literal_cut", "kmeans"):
            index = part[method].to_numpy()
            ratio = index.mean() / oracle.mean()
            # Delta method for a ratio of means over the same seeds.
            se = np.std(index - ratio * oracle, ddof=1) / np.sqrt(len(oracle)) / oracle.mean()
            reached = rate(int((index >= AIM * oracle).sum()), len(oracle))
            lines.append(
                {
                    "difficulty": difficulty,
                    "method": method,
                    "seeds": len(oracle),
                    "adjusted_rand": index.mean(),
                    "oracle": oracle.mean(),
                    "of_oracle": ratio,
                    "of_oracle_low": ratio - 1.96 * se,
                    "of_oracle_high": ratio + 1.96 * se,
                    "reached_share": reached["rate"],
                    "reached_low": reached["low"],
                    "reached_high": reached["high"],
                }
            )
    return pl.DataFrame(lines)


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=2)
    cells = [(d, seed, CUSTOMERS) for d in DIFFICULTIES for seed in range(options.seeds)]
    rows = over_seeds(task, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    note = (
        f"{CUSTOMERS} customers a retailer, k = 5 given; ward is the default (cut settled by "
        "k-means steps);\nreached_share: seeds with "
        f"at least {AIM} of the oracle's index."
    )
    table = summary(rows)
    publish(table, "archetypes", thin=options.thin, note=note)
    # A thinned run still has to show that something is found, whatever the seeds.
    easy = table.filter(difficulty="easy", method="ward")["of_oracle"].item()
    if easy < 0.6:
        raise SystemExit(f"on easy retailers only {easy:.0%} of the oracle's index is reached")


if __name__ == "__main__":
    main()
