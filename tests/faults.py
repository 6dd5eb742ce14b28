"""Do the tests notice a fault? ``python -m tests.faults [WORD ...]``.

Faults are planted one at a time in a copy of the checkout: a formula is changed, a check left out.
The tests named beside it must fail. Before that, all of them must pass in the copy as it is. After
tests were made faster this tells whether they still hold what they held. With words, only the
faults whose file or reason contains one of them are tried. The exit code is the number missed.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv", "reports", "raw", "__pycache__", ".*_cache")


class Fault(NamedTuple):
    """One change for the worse: in which file, from what to what, and what must notice it."""

    file: str
    old: str
    new: str
    tests: str
    what: str


FAULTS = [
    # Intervals and tests
    Fault(
        "stats/intervals.py",
        "z * z + 4 * x * (1 - p)",
        "z + 4 * x * (1 - p)",
        "test_stats_intervals",
        "Wilson's limits",
    ),
    Fault(
        "stats/intervals.py",
        "(v1**2 / (a - 1) + v2**2 / (b - 1))",
        "(v1**2 / a + v2**2 / b)",
        "test_stats_intervals",
        "Welch's degrees of freedom",
    ),
    Fault(
        "stats/intervals.py",
        "own = z * np.sqrt(1 / successes - 1 / n)",
        "own = z * np.sqrt(1 / successes)",
        "test_stats_intervals",
        "error of a relative lift",
    ),
    Fault(
        "stats/hypotheses.py",
        "np.arange(count, 0, -1)",
        "np.arange(count - 1, -1, -1)",
        "test_stats_effects",
        "Holm's steps",
    ),
    # Lift
    Fault(
        "lift/sums.py",
        "(column != 0).sum()",
        "(column > 0).sum()",
        "test_lift_weights",
        "customers whose returns exceed their purchases count as buyers",
    ),
    Fault(
        "lift/effects.py",
        "pair = stratified(pairs, sizes)",
        "pair = stratified(pairs, np.ones(len(pairs)))",
        "test_lift_weights",
        "segments are weighted by their size",
    ),
    Fault(
        "lift/money.py",
        "weights, total = n / n.sum(), float(n.sum())",
        "weights, total = np.ones(len(n)) / len(n), float(n.sum())",
        "test_lift_weights",
        "costs are weighted by segments' sizes",
    ),
    Fault(
        "lift/money.py",
        "which, arms, n, level=level)",
        "which, arms, np.ones(len(n)), level=level)",
        "test_lift_weights",
        "added revenue is weighted by segments' sizes",
    ),
    Fault(
        "lift/uplift_curves.py",
        'per = float(len(y)) if convention == "uplift" else float(t.sum())',
        "per = float(len(y))",
        "test_lift_uplift",
        "the Qini counts the treated alone",
    ),
    # Clustering
    Fault(
        "cluster/ward.py",
        "share = weights[right] / total",
        "share = weights[left] / total",
        "test_cluster_ward",
        "centre of a merged cluster",
    ),
    Fault(
        "cluster/agreement.py",
        "most = (one + other) / 2",
        "most = max(one, other)",
        "test_cluster_stability",
        "adjusted Rand index",
    ),
    Fault(
        "cluster/validity.py",
        "/ np.maximum(size - 1, 1)",
        "/ np.maximum(size, 1)",
        "test_cluster_validity",
        "a customer is no neighbour of its own",
    ),
    Fault(
        "cluster/criteria.py",
        "values[:-1] >= values[1:] - errors[1:]",
        "values[:-1] >= values[1:]",
        "test_cluster_choose",
        "the gap statistic's rule of one standard error",
    ),
    Fault(
        "cluster/criteria.py",
        "rng.uniform(low, high, size=turned.shape)",
        "rng.uniform(0.0, 1.0, size=turned.shape)",
        "test_cluster_choose",
        "the gap statistic's references span the data",
    ),
    Fault(
        "cluster/kmeans.py",
        "n_init=starts",
        "n_init=1",
        "test_cluster_kmeans",
        "k-means keeps the best of several starts",
    ),
    # Factors
    Fault(
        "factor/scales.py",
        "one, two = n - 1, (n - 1) * (len(covariance) - 1)",
        "one, two = n - 1, (n - 1) * len(covariance)",
        "test_factor_scores",
        "Feldt's interval of alpha",
    ),
    Fault(
        "factor/polychoric.py",
        "information = n * (slope**2 / p).sum(axis=(1, 2))",
        "information = n * 50 * (slope**2 / p).sum(axis=(1, 2))",
        "test_factor",
        "polychoric correlations are iterated to their maximum",
    ),
    Fault(
        "factor/scores.py",
        "np.linalg.solve(r, loadings @ phi)",
        "np.linalg.solve(r, loadings)",
        "test_factor_scores",
        "regression scores of correlated factors",
    ),
    # Regression
    Fault(
        "regression/families.py",
        "1 - leverage, 1e-6, None",
        "np.sqrt(1 - leverage), 1e-6, None",
        "test_regression_drivers",
        "robust errors of the third kind",
    ),
    Fault(
        "regression/importance.py",
        "1 / (p * comb(p - 1, k))",
        "1 / (p * 2 ** (p - 1))",
        "test_regression_importance",
        "Shapley's weights of the orders of entry",
    ),
    Fault(
        "regression/price.py",
        "low, high = fitted.slope - reach, fitted.slope + reach",
        "low, high = fitted.slope - error, fitted.slope + error",
        "test_regression_price",
        "interval of an elasticity",
    ),
    Fault(
        "regression/outcomes.py",
        "& is_sold(orders.columns)",
        '& (pl.col("amount") > 0)',
        "test_regression_drivers",
        "what is marked as a return is no later order",
    ),
    # RFM, cohorts, features
    Fault(
        "rfm/cuts.py",
        "quantiles = quantiles + 1.0",
        "quantiles = quantiles + 0.0",
        "test_rfm",
        "cuts as R's package rfm makes them",
    ),
    Fault(
        "rfm/segments.py",
        "(np.arange(1, n + 1) - 0.5) / n",
        "np.arange(1, n + 1) / n",
        "test_rfm",
        "the Gini index uses mid-ranks",
    ),
    Fault(
        "cohorts.py",
        "(day.dt.year() * 12 + day.dt.month().cast(pl.Int32) - 1) // MONTHS[period]",
        "(day.dt.year() * 12 + day.dt.month().cast(pl.Int32)) // MONTHS[period]",
        "test_cohorts",
        "months and quarters of cohorts",
    ),
    Fault(
        "features/orders.py",
        '"returned": nw.when(nw.col("is_return")).then(-amount)',
        '"returned": nw.when(nw.col("is_return")).then(amount)',
        "test_features_values",
        "the sign of what was sent back",
    ),
    Fault(
        "features/calendar.py",
        'f"_{days}d", as_of - days, as_of',
        'f"_{days}d", as_of - days - 1, as_of',
        "test_features_values",
        "a window of 30 days has 30 days",
    ),
    # Intake, identity, rules
    Fault(
        "intake/numbers.py",
        'pl.when("negative").then("-" + bare)',
        'pl.when("negative").then(bare)',
        "test_intake",
        "accountants' brackets are negative",
    ),
    Fault(
        "intake/ledger.py",
        "if step.money_in != step.money_kept + money:",
        "if step.money_in is None:",
        "test_intake_ledger",
        "the ledger's money balances",
    ),
    Fault(
        "intake/graph.py",
        "np.bincount(edges[:, 1], minlength=size)",
        "np.bincount(edges[:, 0], minlength=size)",
        "test_intake_identity",
        "an identifier that too many share",
    ),
    Fault(
        "rules/check.py",
        "sizes[counts > 1].sum()",
        "sizes[counts > 2].sum()",
        "test_rules",
        "points claimed by two rules",
    ),
    Fault(
        "rules/conditions.py",
        "(pl.col(column) <= pl.lit(high))",
        "(pl.col(column) < pl.lit(high))",
        "test_rules",
        "between includes its end",
    ),
    # Campaigns
    Fault(
        "campaign/assign.py",
        "np.r_[edges[:-1] * size, np.inf] + shift",
        "np.r_[edges[:-1] * size, np.inf]",
        "test_campaign_assign",
        "a remainder falls to no arm by preference",
    ),
    Fault(
        "campaign/assign.py",
        'seed, campaign_id, "arm")',
        'seed, "arm")',
        "test_campaign_assign",
        "another campaign draws its arms afresh",
    ),
    Fault(
        "campaign/audience.py",
        "again = free & ~(key.is_first_distinct().over(free))",
        "again = free & key.is_null()",
        "test_campaign_audience",
        "one address gets one letter",
    ),
    # Simulation
    Fault(
        "simulate/respond.py",
        "(when >= day[person]) & (when < last[person])",
        "when >= day[person]",
        "test_simulate_respond",
        "nothing is seen after a customer's weeks",
    ),
    # Runs and reports
    Fault(
        "runner/manifest.py",
        "parts = [notebook_digest, used, dict(inputs), versions()]",
        "parts = [notebook_digest, used, versions()]",
        "test_runner::test_the_key_hangs_on_the_notebook_each_parameter_and_each_input",
        "a run repeats when its input changed",
    ),
    Fault(
        "runner/manifest.py",
        'if file_digest(file) != output["sha256"]:',
        "if not file:",
        "test_runner::test_a_parameter_reruns_only_what_it_touches_and_the_change_is_kept",
        "an output that was tampered with is made again",
    ),
    Fault(
        "runner/state.py",
        'return self.status in ("done", "reused")',
        'return self.status != ""',
        "test_runner::test_each_failure_is_told_as_what_it_was",
        "nothing is built upon a notebook that failed",
    ),
    Fault(
        "runner/manifest.py",
        "        self.path.rename(self.target)\n",
        "        shutil.copytree(self.path, self.target / 'new', dirs_exist_ok=True)\n",
        "test_runner::test_a_folder_is_swapped_in_whole_and_an_interrupted_swap_is_put_back",
        "a notebook's folder is put in its place",
    ),
    Fault(
        "report/render.py",
        'return FETCHED_CSS.sub("", text)',
        "return text",
        "test_report",
        "a page's styles fetch nothing",
    ),
    Fault(
        "report/change.py",
        "if was.get(question) != now.get(question)",
        "if question in was",
        "test_report",
        "only answers that differ are told",
    ),
    # Predictions
    Fault(
        "predict/windows.py",
        "(days > after) & (days <= after + horizon_days)",
        "(days >= after) & (days <= after + horizon_days)",
        "test_predict_propensity",
        "labels begin after the origin",
    ),
    Fault(
        "predict/windows.py",
        "count_purchases(self.orders, as_of=origin).select(HISTORY)",
        "count_purchases(self.orders).select(HISTORY)",
        "test_predict_propensity",
        "a purchase history that ends at the origin",
    ),
    Fault(
        "predict/windows.py",
        "if one.origin + over <= origin]",
        "if one.origin <= origin]",
        "test_predict_propensity",
        "labels that end before the next origin",
    ),
    Fault(
        "predict/measures.py",
        "(below + others / 2)",
        "(below + others)",
        "test_predict_propensity",
        "ties in the area under the curve",
    ),
    Fault(
        "predict/propensity.py",
        "self.season_effect * (ahead - self.reference)",
        "self.season_effect * self.reference",
        "test_predict_propensity",
        "the season of a score",
    ),
    Fault(
        "predict/decisions.py",
        "event[:, None] * gain - costs",
        "event[:, None] * gain",
        "test_predict_propensity",
        "the cost of those contacted in vain",
    ),
    Fault(
        "predict/next_purchase.py",
        'category_share=pl.col("own") / pl.col("days")',
        'category_share=pl.col("own")',
        "test_predict_next_purchase",
        "the share of a category",
    ),
    Fault(
        "predict/likelihood.py",
        "both * apart[j] * apart[k]",
        "still * apart[j] * apart[k]",
        "test_predict_value",
        "curvature of the BG/NBD's mixture",
    ),
    Fault(
        "predict/value_segments.py",
        '(1 / pl.col("p_alive").clip(1e-9) - 1)',
        '(1 - pl.col("p_alive"))',
        "test_predict_value",
        "value at risk is of what an active customer would bring",
    ),
    Fault(
        "campaign/budget.py",
        '.then(pl.col("mean") / whole)',
        '.then(pl.col("mean") / pl.col("mean").sum())',
        "test_campaign_pilot",
        "gains spread by value keep the segment's mean",
    ),
    # What to do next, names, number of segments
    Fault(
        "campaign/next_steps.py",
        'usable, stable = judgement["verdict"] in USABLE, judgement["stable"] is True',
        "usable, stable = True, True",
        "test_campaign_next_steps",
        "nothing is recommended for segments neither stable nor usable",
    ),
    Fault(
        "campaign/offer_profits.py",
        'if against == base and offer != usual and row["shown"] == "gain"',
        'if against == base and offer != usual and (row["profit"] or 0) > 0',
        "test_campaign_next_steps",
        "what is rolled out is shown to earn more",
    ),
    Fault(
        "campaign/offer_profits.py",
        'arm=pl.when(several).then("arm").otherwise("offer")',
        'arm=pl.when(several).then("arm").otherwise("arm")',
        "test_campaign_next_steps",
        "arms with one offer are one",
    ),
    Fault(
        "cluster/aliases.py",
        "proved = high <= mark.absolute and high",
        "proved = high",
        "test_cluster_aliases",
        "an alias needs an absolute mark",
    ),
    Fault(
        "cluster/choose.py",
        'pl.col("stability").max() - NEARLY',
        'pl.col("stability").min() - NEARLY',
        "test_cluster_choose",
        "stability decides first",
    ),
    Fault(
        "predict/recommend_backtest.py",
        'before = days.filter(pl.col("order_day") <= last)',
        'before = days.filter(pl.col("order_day") <= last + test_days)',
        "test_predict_recommend",
        "lists made with what was known at their date",
    ),
    Fault(
        "predict/recommend_backtest.py",
        "ideal = np.cumsum(gains)[np.minimum(counts, k) - 1]",
        "ideal = gains.sum()",
        "test_predict_recommend",
        "the best list that could be reached",
    ),
    Fault(
        "predict/recommend.py",
        'who = customers.filter(_meets(customers, rule, "customer_rule"))',
        "who = customers",
        "test_predict_recommend",
        "consent before the lists",
    ),
    Fault(
        "predict/ranking.py",
        "for one in (bought if new_only else None, barred)",
        "for one in (None, barred)",
        "test_predict_recommend",
        "discoveries that are new to the customer",
    ),
    Fault(
        "predict/buy_again.py",
        '(pl.col("span") + pl.col("usual_days")) / pl.col("times")',
        'pl.col("span") / pl.col("times")',
        "test_predict_recommend",
        "an interval shrunk to the product's",
    ),
    # Scoring service
    Fault(
        "live/serve/models.py",
        "if customer.consent:",
        "if customer.consent is not False:",
        "test_live_serve",
        "an offer without recorded consent",
    ),
    Fault(
        "live/serve/keys.py",
        "return match if secret else None",
        "return match",
        "test_live_serve",
        "an empty key",
    ),
    Fault(
        "live/serve/app.py",
        "if role not in key.roles:",
        "if False:",
        "test_live_serve",
        "roles of keys",
    ),
    Fault(
        "live/serve/histories.py",
        "max([TREND_DAYS, *windows])",
        "0",
        "test_live_serve",
        "a reference before every window",
    ),
    Fault(
        "transform/table.py",
        "n = 0.0 if missing or not row[behind] > 0 else row[behind]",
        "n = 0.0 if missing else row[behind]",
        "test_transform",
        "exposure of one row",
    ),
    # Triggers
    Fault(
        "live/triggers/engine.py",
        "times[0] <= moment - value.window",
        "times[0] < moment - value.window",
        "test_live_triggers",
        "edge of a rolling window",
    ),
    Fault(
        "live/triggers/engine.py",
        "slot[1] = moment if slot[1] is None else slot[1]",
        "slot[1] = moment",
        "test_live_triggers",
        "end of a dwell time",
    ),
    Fault(
        "live/triggers/engine.py",
        "acted[-1] > moment - rule.cool_down",
        "acted[-1] > moment",
        "test_live_triggers",
        "cool-down",
    ),
    Fault(
        "live/triggers/rules.py",
        "edges.add(math.floor(edge) + 1)",
        "edges.add(math.floor(edge))",
        "test_live_triggers",
        "what is kept of a count",
    ),
    Fault(
        "live/triggers/run.py",
        "if event.time < self.mark:",
        "if event.time <= self.mark:",
        "test_live_triggers",
        "an event at the clock's time is late",
    ),
    Fault(
        "live/triggers/run.py",
        "if self.ahead is None or self.ahead[1] == event.customer:",
        "if False:",
        "test_live_triggers",
        "a clock that jumps",
    ),
    Fault(
        "live/triggers/sinks.py",
        "handle.truncate(length)",
        "handle.truncate()",
        "test_live_triggers_delivery",
        "a file is cut to what the state knows",
    ),
    # Files larger than memory, and Spark (its tests need the environment of `make test-spark`)
    Fault(
        "large/split.py",
        "part = keys.hash(SEED) % parts",
        "part = keys.hash(SEED + chunk) % parts",
        "test_large::test_parts_of_a_csv_file_give_what_memory_gives",
        "all rows of a customer in one part",
    ),
    Fault(
        "large/split.py",
        "frame = frame.filter(~pl.col(ROW).is_in(self.repeats.implode()))",
        "frame = frame.filter(pl.col(ROW) >= 0)",
        "test_large::test_overlapping_files_count_a_row_once",
        "rows of overlapping files count once",
    ),
    Fault(
        "large/split.py",
        "frame[ROW] - self.repeats.search_sorted(frame[ROW])",
        "frame[ROW]",
        "test_large::test_overlapping_files_count_a_row_once",
        "a row's number in overlapping files",
    ),
    Fault(
        "large/chunks.py",
        'end = block.rfind(b"\\n", match.end(), until) + 1 if match[1] else 0',
        'end = block.rfind(b"\\n", 0, until) + 1',
        "test_large::test_blocks_of_text_end_where_lines_end",
        "a block of text that ends inside quotes",
    ),
    Fault(
        "large/clean.py",
        'pl.col("order").n_unique()',
        'pl.col("order").count()',
        "test_large::test_parts_of_a_csv_file_give_what_memory_gives",
        "an order with lines in two parts counts once",
    ),
    Fault(
        "large/gates.py",
        "min((k + 1) * width, 2**64) - 1",
        "min((k + 1) * width, 2**64 - 1)",
        "test_large::test_slices_of_hashes_are_disjoint_and_leave_none_out",
        "slices of hashes that overlap",
    ),
    Fault(
        "large/clean.py",
        "sum(r.rows for r in each), sum(r.customers for r in each),",
        "sum(r.rows for r in each), max(r.customers for r in each),",
        "test_large::test_parts_of_a_csv_file_give_what_memory_gives",
        "rejected customers of all parts",
    ),
    Fault(
        "large/job.py",
        "[a + b for a, b in zip(levels, own[window], strict=True)]",
        "own[window]",
        "test_large::test_parts_of_a_csv_file_give_what_memory_gives",
        "totals by category of all parts",
    ),
    Fault(
        "large/job.py",
        '"erased": frame_hash(erased)',
        '"erased": ""',
        "test_large::test_what_a_part_was_made_from_is_in_its_key",
        "another list of customers to erase",
    ),
    Fault(
        "large/job.py",
        '        self.work.remove("split")',
        "        pass",
        "test_large::test_nothing_in_the_folder_is_of_who_is_erased",
        "raw rows stay on disk",
    ),
    Fault(
        "large/work.py",
        "            self._drop(state, other)\n",
        "            pass\n",
        "test_large::test_nothing_in_the_folder_is_of_who_is_erased",
        "scores made before an erasure",
    ),
    Fault(
        "large/work.py",
        "return record if whole else None",
        "return record",
        "test_large::test_a_part_is_done_while_its_files_are_whole",
        "a part whose file is cut short",
    ),
    Fault(
        "large/segments.py",
        ".agg(pl.all().sum())",
        ".agg(pl.all().max())",
        "test_large::test_parts_of_a_csv_file_give_what_memory_gives",
        "customers and revenue of all parts",
    ),
    Fault(
        "cluster/batches.py",
        'pool.bottom_k(size, by=["_key", "customer_id"])',
        "pool.head(size)",
        "test_large",
        "a random sample of the customers",
    ),
    Fault(
        "cluster/compressed.py",
        "cut_tree(ward_linkage(means, weights), k)",
        "cut_tree(ward_linkage(means, np.ones_like(weights)), k)",
        "test_cluster_compressed",
        "Ward weighs each seed by its rows",
    ),
    Fault(
        "spark/table.py",
        "before + add_levels([frame[name] for name in part])",
        "add_levels([frame[name] for name in part])",
        "test_spark::test_every_feature_is_that_of_polars",
        "totals by category of all batches",
    ),
    Fault(
        "spark/table.py",
        "not table.is_unknown(name)",
        "True",
        "test_spark::test_every_feature_is_that_of_polars",
        "a sum that is missing is not zero",
    ),
    Fault(
        "spark/clustering.py",
        "total += Compressed.of",
        "total = Compressed.of",
        "test_spark::test_written_assignments_are_those_of_polars",
        "statistics of all batches",
    ),
    Fault(
        "spark/clustering.py",
        "functions.sum(name).alias(name)",
        "functions.max(name).alias(name)",
        "test_spark::test_written_assignments_are_those_of_polars",
        "statistics of all partitions",
    ),
    Fault(
        "spark/clustering.py",
        "keys.orderBy(KEY, CUSTOMER)",
        "keys.orderBy(CUSTOMER)",
        "test_spark::test_written_assignments_are_those_of_polars",
        "seeds from a random sample",
    ),
    Fault(
        "spark/clustering.py",
        "(whole.means * whole.counts[whole.counts > 0, None]).sum(axis=0)[None, :] / rows",
        "whole.means.mean(axis=0)[None, :]",
        "test_spark::test_written_assignments_are_those_of_polars",
        "the grand mean weighs each seed by its rows",
    ),
    Fault(
        "spark/segments.py",
        "score_rows(clusters.model, table)",
        "score_rows(clusters.fit.model, table)",
        "test_spark::test_written_assignments_are_those_of_polars",
        "assignments by the centres of all customers",
    ),
    Fault(
        "spark/segments.py",
        "size=counts.get(one.id, 0)",
        "size=one.size",
        "test_spark::test_written_assignments_are_those_of_polars",
        "sizes of all customers",
    ),
    Fault(
        "spark/engine.py",
        "if different < rows:",
        "if named < rows:",
        "test_spark::test_ids_and_values_of_customers_are_checked",
        "a customer who comes twice",
    ),
]


def run_tests(copy, tests, *, options=()):
    """Run tests ("file" or "file::test") in the copy; return pytest's exit code and last lines."""
    settings = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    names = (name.partition("::") for name in tests)
    paths = [f"tests/{name}.py{mark}{test}" for name, mark, test in names]
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *options]
    told = subprocess.run(
        [*words, f"--basetemp={copy.parent / 'temp'}", *paths],
        cwd=copy, env=os.environ | settings, capture_output=True, text=True,
    )  # fmt: skip
    return told.returncode, told.stdout.strip().splitlines()[-4:]


def plant(copy, fault):
    """Write the fault into the copy and return the text that was there before."""
    path = copy / "segkit" / fault.file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    return path, text


def lost():
    """List the faults whose text is not in its file exactly once: the code has moved on."""
    return [
        f"{fault.file}: {fault.old}"
        for fault in FAULTS
        if (ROOT / "segkit" / fault.file).read_text(encoding="utf-8").count(fault.old) != 1
    ]


def choose(words):
    """Return the faults whose file or reason contains one of the words; all without a word."""
    return [
        fault
        for fault in FAULTS
        if not words or any(word in f"{fault.file} {fault.what}" for word in words)
    ]


def copy_to(place):
    """Copy the checkout, with the real data beside it if they are beside this one."""
    copy = place / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    if (ROOT.parent / "shared").is_dir():
        (place / "shared").symlink_to(ROOT.parent / "shared")
    return copy


def main():
    """Try the faults one after the other and say which were caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the faults wanted")
    options = parser.parse_args()
    if lost():
        raise SystemExit("not in their places any more:\n" + "\n".join(lost()))
    chosen = choose(options.words)
    if importlib.util.find_spec("pyspark") is None:
        here = [fault for fault in chosen if not fault.tests.startswith("test_spark")]
        if left := len(chosen) - len(here):
            print(f"{left} need Spark: .venv-spark/bin/python -m tests.faults spark/")
        chosen = here
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        copy = copy_to(Path(name))
        code, last = run_tests(copy, sorted({fault.tests for fault in chosen}))
        if code:
            raise SystemExit("without a fault the tests fail already:\n" + "\n".join(last))
        for fault in chosen:
            path, text = plant(copy, fault)
            began = time.monotonic()
            code, last = run_tests(copy, [fault.tests])
            path.write_text(text, encoding="utf-8")
            caught = code == 1  # any other code: the tests did not run
            missed += not caught
            said = next((line for line in last if line.startswith("FAILED")), "".join(last[-1:]))
            print(f"{'caught' if caught else f'MISSED (exit {code})'}  {fault.file}: {fault.what}"
                  f"\n    {time.monotonic() - began:.0f} s  {said[:150]}", flush=True)  # fmt: skip
    print(f"{len(chosen)} faults, {len(chosen) - missed} caught")
    return missed


if __name__ == "__main__":
    sys.exit(main())
