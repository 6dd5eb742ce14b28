"""Are planted attitudes found, scored as well as their items allow, and not seen in noise?

``python -m tests.studies.study_factor --seeds 200 --jobs 2``
"""

import numpy as np
import polars as pl

import segkit
from segkit.factor.response import nps_interval
from segkit.factor.rotation import congruence
from segkit.simulate.archetypes import ATTITUDES
from segkit.simulate.customers import items, survey_table
from segkit.simulate.world import World
from tests.studies._study import arguments, over_seeds, publish, rate

SIZES = (1_000, 2_500)  # customers; 35% of them answer
PRIOR = 6_000  # other customers whose attitudes the best guess knows
KINDS = ("pearson", "polychoric")
NOISE = ((200, 10), (350, 20))  # people and items
CUTS = np.array([-1.4, -0.5, 0.4, 1.3])  # of the simulated survey
ENOUGH = 0.95  # Tucker's congruence that counts as equal
AIM = 0.97  # of the best possible correlation
NPS = ((0.5, 0.2, 50), (0.35, 0.3, 30), (0.1, 0.05, 100), (0.8, 0.02, 40))


def planted():
    """Planted loadings: each item on its own attitude, reversed items with a minus."""
    book = items()
    loadings = np.zeros((book.height, len(ATTITUDES)))
    for i, row in enumerate(book.iter_rows(named=True)):
        sign = -1 if row["reversed"] else 1
        loadings[i, ATTITUDES.index(row["attitude"])] = sign * row["loading"]
    return book["item"].to_list(), loadings


def best_guess(answers, prior, loadings):
    """E[attitude | answers] by one who knows loadings, cuts and how attitudes are distributed.

    Importance sampling with other customers' attitudes as the prior; an answer that is missing
    says nothing.
    """
    from scipy.special import ndtr

    noise = np.sqrt(1 - (loadings**2).sum(axis=1))
    z = (np.concatenate([[-99.0], CUTS, [99.0]])[:, None, None] - prior @ loadings.T) / noise
    log = np.log(np.maximum(np.diff(ndtr(z), axis=0), 1e-12))  # by answer, prior draw, item
    weight = np.zeros((len(answers), len(prior)))
    for j, column in enumerate(answers.T):
        there = ~np.isnan(column)
        weight[there] += log[column[there].astype(int) - 1, :, j]
    weight = np.exp(weight - weight.max(axis=1, keepdims=True))
    return (weight / weight.sum(axis=1, keepdims=True)) @ prior


def traits_of(customers, seed):
    """Draw the retailer's customers alone, without their orders; with their attitudes."""
    world = World(customers, seed, dirty=False)
    people = world.people(np.arange(customers))
    return people, np.column_stack([people.traits[name] for name in ATTITUDES])


def attitudes(customers, seed):
    """One simulated survey: number, congruence, and scores beside the best guess."""
    people, traits = traits_of(customers, seed)
    ids = pl.Series("customer_id", [str(i) for i in range(customers)])
    survey = survey_table(people, ids).rename({"account_id": "customer_id"})
    names, loadings = planted()
    truth = traits[survey["customer_id"].cast(pl.Int64).to_numpy()]
    answers = survey.select(names).cast(pl.Float64).to_numpy()
    best = best_guess(answers, traits_of(PRIOR, 10_000 + seed)[1], loadings)
    possible = [np.corrcoef(best[:, j], truth[:, j])[0, 1] for j in range(len(ATTITUDES))]
    found = segkit.choose_factor_count(survey, names, seed=seed)
    row = {"customers": customers, "people": survey.height, "possible": np.mean(possible),
           "number": found.n_factors == len(ATTITUDES)}  # fmt: skip
    for kind in KINDS:
        model = segkit.fit_factors(survey, len(ATTITUDES), names, correlation=kind)
        alike = congruence(loadings, model.loadings)
        own = np.abs(alike).argmax(axis=1)
        scores = model.score(survey).frame[:, 1:].to_numpy()
        reached = [abs(np.corrcoef(scores[:, own[j]], truth[:, j])[0, 1]) for j in range(len(own))]
        row |= {
            f"congruence_{kind}": float(np.abs(alike).max(axis=1).min()),
            f"reached_{kind}": float(np.mean(reached)),
            f"ratio_{kind}": float(np.mean(np.array(reached) / np.array(possible))),
        }
    return row


def noise(n, p, seed):
    """Unrelated rating items: is the verdict no common factor?"""
    random = np.random.default_rng([seed, n, p])
    answers = np.searchsorted(CUTS, random.normal(size=(n, p)))
    frame = pl.DataFrame(answers, schema=[f"q{i}" for i in range(p)], orient="row")
    found = segkit.choose_factor_count(frame, seed=seed)
    return {"setting": f"noise, {p} items", "people": n, "none": found.n_factors == 0}


def recommended(promoters, detractors, n, seed):
    """Whether the interval of the net promoter score holds the truth, in 100 surveys."""
    random = np.random.default_rng([seed, n])
    counts = random.multinomial(n, [promoters, detractors, 1 - promoters - detractors], 100)
    truth, hits = promoters - detractors, 0
    for up, down, _ in counts:
        interval = nps_interval(up / n, down / n, n)
        hits += interval.low <= truth <= interval.high
    return {"setting": f"{promoters:.0%} promoters, {detractors:.0%} detractors", "people": n,
            "hits": hits}  # fmt: skip


def attitudes_table(options):
    """Write one row per setting: shares of data sets, and means over them."""
    cells = [(n, seed) for n in SIZES for seed in range(options.seeds)]
    found = over_seeds(attitudes, cells, jobs=options.jobs)
    rows = []
    for n in SIZES:
        part = found.filter(pl.col("customers") == n)
        number = rate(int(part["number"].sum()), part.height)
        for kind in KINDS:
            alike = rate(int((part[f"congruence_{kind}"] >= ENOUGH).sum()), part.height)
            rows.append(
                {"customers": n, "respondents": part["people"].mean(), "correlation": kind,
                 "seeds": part.height, "right_number": number["rate"], "low": number["low"],
                 "high": number["high"], "congruent": alike["rate"],
                 "congruent_low": alike["low"], "congruent_high": alike["high"],
                 "worst_congruence_mean": part[f"congruence_{kind}"].mean(),
                 "score_r": part[f"reached_{kind}"].mean(), "best_r": part["possible"].mean(),
                 "of_best": part[f"ratio_{kind}"].mean(),
                 "at_aim": (part[f"ratio_{kind}"] >= AIM).mean()}
            )  # fmt: skip
    publish(
        pl.DataFrame(rows), "factor_attitudes", thin=options.thin,
        note="Simulated survey, 5 attitudes, 20 items, 3% left open. right_number: share of data "
        "sets, 95% Wilson.\ncongruent: the smallest of the 5 Tucker congruences with the planted "
        "loadings is at least .95.\nscore_r: correlation of regression scores with the planted "
        "attitudes, mean of 5; best_r: of E[attitude | answers] by one\nwho knows loadings, cuts "
        "and the attitudes' distribution; of_best: mean ratio; at_aim: share of data sets with a "
        "mean ratio of at least .97.",
    )  # fmt: skip


def main():
    """Run the three parts."""
    options = arguments(__doc__, seeds=200, thin=2)
    attitudes_table(options)
    seeds = range(options.seeds)
    cells = [(*cell, seed) for cell in NOISE for seed in seeds]
    found = over_seeds(noise, cells, jobs=options.jobs)
    rows = [
        {"setting": setting, "people": people, **rate(int(part["none"].sum()), part.height)}
        for (setting, people), part in found.group_by("setting", "people", maintain_order=True)
    ]
    publish(pl.DataFrame(rows), "factor_noise", thin=options.thin,
            note="Rate of the verdict 'no common factor' on unrelated items of five answers "
            "(95th percentile, 100 draws); 95% aimed at.")  # fmt: skip
    cells = [(*cell, seed) for cell in NPS for seed in seeds]
    found = over_seeds(recommended, cells, jobs=options.jobs)
    rows = [
        {"setting": setting, "people": people, **rate(int(part["hits"].sum()), 100 * part.height)}
        for (setting, people), part in found.group_by("setting", "people", maintain_order=True)
    ]
    publish(
        pl.DataFrame(rows),
        "factor_nps",
        thin=options.thin,
        note="Coverage of the 95% interval of the net promoter score, 100 surveys a seed.",
    )


if __name__ == "__main__":
    main()
