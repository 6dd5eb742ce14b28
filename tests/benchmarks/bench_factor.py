"""Factor analysis beside numpy and factor_analyzer: ``--quick`` for small sizes.

Compute alone: the answers are a polars frame before the clock starts. Ratios are medians over
rounds in which the tasks run one after the other.
"""

import argparse

import numpy as np
import polars as pl
from factor_analyzer import FactorAnalyzer

import segkit
from segkit.factor.number import null_eigenvalues
from tests.benchmarks._common import interleaved, report

CUTS = np.array([-1.4, -0.5, 0.4, 1.3])


def survey(n, items, factors, *, missing=0.0, seed=0):
    """Rating answers from a known model."""
    random = np.random.default_rng(seed)
    loadings = np.zeros((items, factors))
    loadings[np.arange(items), np.arange(items) % factors] = random.uniform(0.5, 0.8, items)
    latent = random.normal(size=(n, factors)) @ loadings.T
    latent += random.normal(size=(n, items)) * np.sqrt(1 - (loadings**2).sum(axis=1))
    answers = (1 + np.searchsorted(CUTS, latent)).astype(np.int8)
    frame = pl.DataFrame(answers, schema=[f"q{i + 1}" for i in range(items)], orient="row")
    if missing:
        gone = random.random(answers.shape) < missing
        frame = frame.with_columns(
            pl.when(pl.Series(gone[:, j])).then(None).otherwise(pl.col(name)).alias(name)
            for j, name in enumerate(frame.columns)
        )
    return frame


def analyse(frame, items):
    """Adequacy, number, fit and scores from one matrix."""
    found = segkit.factor.correlate_items(frame, items)
    segkit.factor.check_adequacy(found)
    count = segkit.choose_factor_count(found)
    model = segkit.fit_factors(found, count.n_factors)
    return model.score(frame)


def whole_analysis(n, rounds):
    """Compare the whole analysis of n x 30 answers with the correlation matrix by numpy."""
    for missing in (0.0, 0.02):
        frame = survey(n, 30, 5, missing=missing)
        items = frame.columns
        values = frame.fill_null(3).to_numpy().astype(np.float64)
        tasks = {
            "np.corrcoef": lambda values=values: np.corrcoef(values, rowvar=False),
            "segkit, whole analysis": lambda frame=frame, items=items: analyse(frame, items),
        }
        print(f"{n:,} x 30, {missing:.0%} missing")
        report(interleaved(tasks, rounds=rounds), "np.corrcoef")


def naive(n, items, draws):
    """Horn's loop as commonly written: simulate, fit, take the eigenvalues."""
    random = np.random.default_rng(0)
    for _ in range(draws):
        r = np.corrcoef(random.normal(size=(n, items)), rowvar=False)
        tool = FactorAnalyzer(n_factors=1, rotation=None, is_corr_matrix=True)
        tool._fit_factor_analysis(r.copy())  # fit() itself fails on this scikit-learn
        np.linalg.eigvalsh(r)


def parallel(n, draws, naive_draws, rounds):
    """Compare the reference eigenvalues; the naive loop is timed on fewer draws, and scaled."""
    tasks = {
        "segkit, Wishart": lambda: null_eigenvalues(n, 30, draws=draws, seed=0),
        f"naive loop, {naive_draws} draws": lambda: naive(n, 30, naive_draws),
    }
    print(f"parallel analysis, {draws} draws of {n:,} x 30")
    ratios = report(interleaved(tasks, rounds=rounds), "segkit, Wishart")
    scaled = ratios[f"naive loop, {naive_draws} draws"] * draws / naive_draws
    print(f"naive loop of {draws} draws: {scaled:,.0f} x segkit")


def latent(n, rounds):
    """Time polychoric correlations of 25 items, beside Pearson's."""
    frame = survey(n, 25, 5, seed=1)
    tasks = {
        "Pearson": lambda: segkit.factor.correlate_items(frame, frame.columns),
        "polychoric": lambda: segkit.factor.correlate_items(
            frame, frame.columns, method="polychoric"
        ),
    }
    print(f"{n:,} x 25")
    report(interleaved(tasks, rounds=rounds), "Pearson")


def main():
    """Run the three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    analyse(survey(500, 30, 5), None)  # imports
    whole_analysis(50_000 if quick else 1_000_000, 2 if quick else 3)
    parallel(5_000, 100, 5 if quick else 20, 2 if quick else 3)
    latent(10_000 if quick else 100_000, 2 if quick else 3)


if __name__ == "__main__":
    main()
