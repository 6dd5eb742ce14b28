"""How many segments are recommended on the simulated retailer, and what does that cost?

For each difficulty and seed a retailer goes the case study's way, and the criteria vote on k. Five
archetypes are planted. Beside the recommended k stand each criterion's vote, and the adjusted Rand
index with the archetypes at the recommended k and at k = 5. The setting without segments has no
right number.
"""

import polars as pl

import segkit
from segkit.cluster.criteria import VOTERS
from tests.studies._retail import customer_table
from tests.studies._study import arguments, over_seeds, publish, rate

SETTINGS = ("easy", "medium", "hard", "without segments")
CUSTOMERS = 600
PLANTED = 5


def task(setting: str, seed: int) -> dict[str, object]:
    """Let the criteria choose on one retailer."""
    grouped = setting != SETTINGS[3]
    table, variables, truth = customer_table(
        CUSTOMERS,
        seed=seed,
        difficulty=setting if grouped else "medium",
        structure="archetypes" if grouped else "none",
    )
    chosen = segkit.cluster_customers(table, features=variables)
    votes = dict(zip(chosen.choice.votes["criterion"], chosen.choice.votes["k"], strict=True))
    row: dict[str, object] = {"setting": setting, "seed": seed, "k": chosen.k, **votes}
    if grouped:
        archetypes = truth.select("customer_id", segment="archetype")
        given = segkit.cluster_customers(table, features=variables, k=PLANTED)
        for name, found in (("chosen", chosen), ("given", given)):
            both = segkit.cluster.compare_assignments(found.assignments, archetypes)
            row[f"{name}_rand"] = both.adjusted_rand
    return row


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=1)
    cells = [(setting, seed) for seed in range(options.seeds) for setting in SETTINGS]
    found = over_seeds(task, cells, jobs=options.jobs)
    rows, told = [], []
    for setting, part in found.group_by("setting", maintain_order=True):
        counts = part.group_by("k").len().sort("k")
        told.append(f"{setting[0]}: " + ", ".join(f"{k} ({n})" for k, n in counts.iter_rows()))
        for voter in ("k", *VOTERS):
            votes = part[voter]
            line = {"setting": setting[0], "voter": "recommended" if voter == "k" else voter}
            hit = rate(int((votes == PLANTED).sum()), part.height)
            line |= {
                "n": hit["n"],
                "five_rate": hit["rate"],
                "low": hit["low"],
                "high": hit["high"],
            }
            line |= {"median_k": votes.median(), "one_rate": (votes == 1).mean()}
            if voter == "k":
                line |= {
                    "adjusted_rand": part["chosen_rand"].mean(),
                    "adjusted_rand_of_five": part["given_rand"].mean(),
                }
            rows.append(line)
    note = (
        f"{CUSTOMERS} customers a retailer, {PLANTED} archetypes planted; five_rate: votes for "
        f"{PLANTED}, Wilson 95% interval; one_rate: votes for no groups.\n"
        f"Recommended k (retailers): {'; '.join(told)}"
    )
    table = pl.DataFrame(rows, infer_schema_length=None)
    publish(table, "retailer_k", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
