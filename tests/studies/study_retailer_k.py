"""How many segments are recommended on the simulated retailer?

For each difficulty and seed a retailer goes the case study's way, and the criteria vote on k. Five
archetypes are planted. Beside the recommended k stand each criterion's vote. The setting without
segments has no right number. How near five segments come to the archetypes: `study_archetypes`.
With ``--keep`` finished retailers are kept in a file, and a run that was stopped goes on; cells
hold the criteria over k too, so that another rule can be judged on the same retailers.
"""

from io import StringIO

import polars as pl

from segkit.cluster.choose import KChoice, choose_k, recommend
from segkit.cluster.criteria import VOTERS
from segkit.transform import Transform
from tests.studies._retail import customer_table
from tests.studies._study import arguments, over_seeds, publish, rate

SETTINGS = ("easy", "medium", "hard", "without segments")
SIZES = {600: SETTINGS, 20_000: SETTINGS[:2]}
PLANTED = 5


def task(setting: str, seed: int, customers: int) -> dict[str, object]:
    """Let the criteria choose on one retailer."""
    grouped = setting != SETTINGS[3]
    table, variables, _ = customer_table(
        customers,
        seed=seed,
        difficulty=setting if grouped else "medium",
        structure="archetypes" if grouped else "none",
    )
    choice: KChoice = choose_k(Transform.propose(table, variables).fit(table).apply(table))
    votes = dict(zip(choice.votes["criterion"], choice.votes["k"], strict=True))
    return {
        "setting": setting,
        "seed": seed,
        "customers": customers,
        "k": choice.k,
        **votes,
        "table": choice.table.write_json(),
    }


def summarise(cells: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Return a row per setting and voter, and the numbers recommended in words."""
    recommended = [
        recommend(
            pl.DataFrame({"criterion": VOTERS, "label": VOTERS, "k": [row[v] for v in VOTERS]}),
            pl.read_json(StringIO(row["table"])),
        )[0]
        for row in cells.iter_rows(named=True)
    ]
    cells = cells.with_columns(k=pl.Series(recommended))
    rows, counts = [], []
    for (customers, setting), part in cells.group_by("customers", "setting", maintain_order=True):
        each = part.group_by("k").len().sort("k")
        numbers = ", ".join(f"{k} ({n})" for k, n in each.iter_rows())
        counts.append(f"{setting}, {customers} customers: {numbers}")
        for voter in ("k", *VOTERS):
            votes = part[voter]
            hit = rate(int((votes == PLANTED).sum()), part.height)
            rows.append(
                {
                    "setting": setting,
                    "customers": customers,
                    "voter": "recommended" if voter == "k" else voter,
                    "n": hit["n"],
                    "five_rate": hit["rate"],
                    "low": hit["low"],
                    "high": hit["high"],
                    "median_k": votes.median(),
                    "one_rate": (votes == 1).mean(),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None), "; ".join(counts)


def main() -> None:
    """Run the study and publish its table."""
    options = arguments(__doc__, seeds=200, thin=1)
    cells = [
        (setting, seed, customers)
        for customers, settings in SIZES.items()
        for setting in settings
        for seed in range(options.seeds)
        if customers == min(SIZES) or not options.thin
    ]
    table, counts = summarise(
        over_seeds(task, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    )
    note = (
        f"{PLANTED} archetypes planted; n: retailers, seeds from 0 on; five_rate: votes for "
        f"{PLANTED}, Wilson 95% interval; one_rate: votes for no groups.\n"
        f"Recommended k (retailers): {counts}"
    )
    publish(table, "retailer_k", thin=options.thin, note=note)


if __name__ == "__main__":
    main()
