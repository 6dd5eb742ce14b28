"""Does lift stay true where an arm has few buyers?

``python -m tests.studies.study_small_holdout --seeds 2000``: 42 named cells, each a control share
(50 to 5%), a base rate (0.5 to 20%), customers (2,000 to 100,000), segments (1, 6, 12; their rates
differ fourfold), baskets (lognormal, log sd .7 or 1.2) and an effect: none, conversion +30%, or
baskets +30%. Counts of buyers are drawn, then their baskets and orders; half the buyers come from
the fifth of customers who bought before (the covariate of CUPED). Every metric is judged as
`measure_lift` and `measure_profit` judge it, on the sums (three campaigns a cell are run
through these two functions, row by row, and must agree). Per cell and metric: how often at least
one segment of a metric without effect is "higher" or "lower" (Holm, .05); how often the intervals
of all customers and of segments hold the truth, and miss it on the flattering side; how many are
withheld (and would have held the truth), by the buyers that the smaller arm truly expects; power;
and the same of Welch's method, which this one replaced. The oracle's power is that of the same
difference with the critical values of its true distribution without effect.
"""

from typing import Any

import numpy as np
import polars as pl

import segkit
from segkit.stats.group_effects import effective_cases, shrink, shrink_counts
from segkit.stats.hypotheses import mean_t_test, share_test, share_z
from segkit.stats.intervals import share_difference
from segkit.stats.two_part import (
    EXPECTED_BUYERS,
    Amounts,
    arm_means,
    expected_buyers,
    mean_difference,
    mean_test,
    no_effect,
)
from tests.studies._study import arguments, over_seeds, publish, rate

LIFT = 0.3
WARM, WARM_BUYERS = 0.2, 0.5  # customers who bought before, and their part of the buyers
MARGIN, COST = 0.4, 0.05
SHRUNK = 400  # replications whose segments are shrunken (one by one)
CHUNK = 100
ENOUGH, FEWER, ALL = "segments, B or more expected", "segments, fewer expected", "all customers"
BASE = (
    # control, rate, customers, segments, log sd of baskets
    (0.10, 0.02, 10_000, 6, 0.7),
    (0.10, 0.02, 10_000, 6, 1.2),
    (0.10, 0.02, 40_000, 6, 0.7),
    (0.10, 0.02, 40_000, 6, 1.2),
    (0.05, 0.02, 40_000, 12, 1.2),
    (0.05, 0.005, 100_000, 6, 0.7),
    (0.05, 0.005, 100_000, 1, 1.2),
    (0.20, 0.02, 10_000, 6, 1.2),
    (0.50, 0.02, 10_000, 6, 0.7),
    (0.50, 0.02, 10_000, 6, 1.2),
    (0.10, 0.05, 10_000, 1, 1.2),
    (0.10, 0.20, 10_000, 12, 0.7),
    (0.10, 0.02, 2_000, 1, 0.7),
    (0.20, 0.20, 2_000, 6, 1.2),
)
CELLS = [(*base, effect) for effect in ("none", "conversion", "basket") for base in BASE]
METRICS = ("conversion", "orders", "revenue", "CUPED revenue", "order value", "profit", "ROI")
NULL = {"none": METRICS, "conversion": (), "basket": ("conversion", "orders")}


def truths(rate_: float, segments: int) -> np.ndarray:
    """Return the segments' base rates: a factor of four between the lowest and the highest."""
    if segments == 1:
        return np.array([rate_])
    shape = np.geomspace(0.5, 2.0, segments)
    return rate_ * shape / shape.mean()


def draw(random, n, p, sd, dearer, repeats):
    """Draw an arm: revenue and orders, those of warm customers; (repeats, segments)."""
    k = random.binomial(n, p, (repeats, p.size))
    place = np.arange(max(int(k.max()), 1))
    some = place < k[..., None]
    baskets = random.lognormal(3.5 + np.log(dearer), sd, some.shape) * some
    orders = (1 + random.poisson(0.3, some.shape)) * some
    warm_buyer = (random.random(some.shape) < WARM_BUYERS) & some
    cold = np.maximum(n - k, 0)
    share = WARM * (1 - WARM_BUYERS / WARM * p) / (1 - p)  # of those who do not buy
    warm = warm_buyer.sum(axis=-1) + random.binomial(cold, np.clip(share, 0, 1))
    return {
        "n": np.full(k.shape, float(n)),
        "k": k.astype(float),
        "revenue": amounts(n, k, baskets, some),
        "orders": amounts(n, k, orders.astype(float), some),
        "warm": warm.astype(float),
        "warm_revenue": (baskets * warm_buyer).sum(axis=-1),
        "order_value": residuals(k, baskets, orders.astype(float)),
        "rows": (baskets[:3], orders[:3], warm_buyer[:3], k[:3], warm[:3]),
    }


def amounts(n, k, values, some):
    total = values.sum(axis=-1)
    away = np.where(some, values - (total / np.maximum(k, 1))[..., None], 0.0)
    return Amounts(
        np.full(k.shape, float(n)), k.astype(float), total, (away**2).sum(-1), (away**3).sum(-1)
    )


def residuals(k, baskets, orders):
    y, x = baskets.sum(axis=-1), orders.sum(axis=-1)
    left = baskets - (y / np.maximum(x, 1))[..., None] * orders
    return Amounts(k.astype(float), k.astype(float), y, (left**2).sum(-1), (left**3).sum(-1)), y, x


def pooled(arm):
    """Add the segments up: all customers as one group."""
    n, k = arm["n"].sum(1, keepdims=True), arm["k"].sum(1, keepdims=True)
    whole = {"n": n, "k": k}
    for name in ("warm", "warm_revenue"):
        whole[name] = arm[name].sum(1, keepdims=True)
    for name in ("revenue", "orders"):
        whole[name] = merged(arm[name], n, k)
    _, y, x = arm["order_value"]
    y, x = y.sum(1, keepdims=True), x.sum(1, keepdims=True)
    whole["order_value"] = (None, y, x)
    return whole


def merged(a, n, k):
    total = a.total.sum(1, keepdims=True)
    m = total / np.maximum(k, 1)
    away = np.where(a.buyers > 0, np.nan_to_num(a.amount) - m, 0.0)
    second = (a.second + a.buyers * away**2).sum(1, keepdims=True)
    third = (a.third + 3 * away * a.second + a.buyers * away**3).sum(1, keepdims=True)
    return Amounts(n, k, total, second, third)


def mean(one, two, name):
    """Judge a mean as `compare_means` does."""
    a, b = one[name], two[name]
    d = a.mean - b.mean
    arms = arm_means(a, b)
    limits = mean_difference(*arms)
    few = (expected_buyers(a, b) < EXPECTED_BUYERS) | without_limit(arms)
    return judged(d, limits.low, limits.high, mean_test(d, no_effect(a, b)), few)


def without_limit(arms):
    """Return where the mean amount per buyer of an arm could be anything (`MOST_TIMES`)."""
    return ~(np.asarray(arms[0].bounded) & np.asarray(arms[1].bounded))


def judged(d, low, high, p, few):
    hidden = np.where(few, np.nan, 0.0)
    return {
        "d": d, "low": low + hidden, "high": high + hidden, "p": p, "few": few, "bare_low": low,
        "bare_high": high,
    }  # fmt: skip


def adjusted(one, two):
    """Judge revenue with CUPED by one covariate, as `compare_means` does."""
    groups = []
    for arm in (one, two):
        n, a = arm["n"], arm["revenue"]
        y, x = a.mean, arm["warm"] / n
        s_yy = (a.second + a.buyers * np.nan_to_num(a.amount) ** 2 - n * y**2) / (n - 1)
        s_xy = (arm["warm_revenue"] - n * x * y) / (n - 1)
        s_xx = (arm["warm"] - n * x**2) / (n - 1)
        groups.append((n, y, x, s_yy, s_xy, s_xx))
    f1, f2 = groups[0][0] - 1, groups[1][0] - 1
    s_yy, s_xy, s_xx = ((f1 * groups[0][i] + f2 * groups[1][i]) / (f1 + f2) for i in (3, 4, 5))
    theta = np.where(s_xx > 0, s_xy / np.where(s_xx > 0, s_xx, 1), 0.0)
    kept = np.sqrt(np.clip((s_yy - theta * s_xy) / np.maximum(s_yy, 1e-300), 0, 1))
    kept = np.where(s_yy > 0, kept, 1.0)
    total = groups[0][0] + groups[1][0]
    common = (groups[0][0] * groups[0][2] + groups[1][0] * groups[1][2]) / total
    means = tuple(y - theta * (x - common) for _, y, x, *_ in groups)
    a, b = one["revenue"], two["revenue"]
    null = no_effect(a, b)
    stacked = type(null)(*(np.asarray(getattr(null, f))[..., None] for f in null.__slots__))
    null = stacked.combined(np.ones(1), kept[..., None])
    arms = arm_means(a, b, means=means, kept=kept)
    limits = mean_difference(*arms)
    d = means[0] - means[1]
    few = (expected_buyers(a, b) < EXPECTED_BUYERS) | without_limit(arms)
    return judged(d, limits.low, limits.high, mean_test(d, null), few)


def share(one, two):
    """Judge conversion as `compare_arms` does; its interval is never withheld."""
    x1, n1, x2, n2 = one["k"], one["n"], two["k"], two["n"]
    found = share_difference(x1, n1, x2, n2)
    p = np.asarray(share_test(x1, n1, x2, n2).p_value)
    return judged(found.value, found.low, found.high, p, np.zeros(x1.shape, bool))


def ratio(one, two):
    """Give the interval of the average order value; it gets no verdict."""
    (a, y1, x1), (b, y2, x2) = one["order_value"], two["order_value"]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = y1 / x1, y2 / x2
    arms = arm_means(a, b, means=means)
    limits = mean_difference(*arms)
    few = (np.minimum(one["k"], two["k"]) < EXPECTED_BUYERS) | (
        expected_buyers(one["revenue"], two["revenue"]) < EXPECTED_BUYERS
    )
    few |= without_limit(arms)
    return judged(means[0] - means[1], limits.low, limits.high, np.ones(a.n.shape), few)


def welch(one, two, name):
    """Judge as before: Welch's errors; for conversion the pooled z test."""
    if name == "conversion":
        found = share(one, two)
        return {**found, "p": share_z(one["k"], one["n"], two["k"], two["n"]).p_value}
    parts = []
    for arm in (one, two):
        a = arm[name]
        second, _ = a.about(a.mean)
        parts += [a.mean, np.sqrt(second / (a.n - 1)), a.n]
    tested = mean_t_test(*parts)
    from scipy.special import stdtrit

    error = np.sqrt(parts[1] ** 2 / parts[2] + parts[4] ** 2 / parts[5])
    d = parts[0] - parts[3]
    reach = stdtrit(tested.freedom, 0.975) * error
    p = np.nan_to_num(np.asarray(tested.p_value), nan=1.0)
    return judged(d, d - reach, d + reach, p, np.zeros(d.shape, bool)) | {"error": error}


def holm(found):
    """Return which segments of each campaign are "higher" or "lower" (Holm over segments).

    A p-value that `raised` would change stays here, which can only add verdicts elsewhere.
    """
    p = np.where(np.isnan(found["p"]), 1.0, found["p"])
    m = p.shape[1]
    order = np.argsort(p, axis=1)
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, 1) * (m - np.arange(m)), axis=1)
    adjusted_ = np.empty_like(p)
    np.put_along_axis(adjusted_, order, stepped, 1)
    shown = (found["low"] > 0) | (found["high"] < 0)
    return (adjusted_ <= 0.05) & shown & ~found["few"]


def check(one, two, found, n_arm, n_control):
    """Run three campaigns of the cell through the functions a user calls; they must agree."""
    for r in range(3):
        frame = pl.concat([expand(arm["rows"], r, n, name) for arm, n, name in
                           ((one, n_arm, "mail"), (two, n_control, "none"))])  # fmt: skip
        plain = segkit.measure_lift(
            frame, control="none", metrics=["conversion", "orders", "revenue", "order_value"]
        ).effects.filter(pl.col("segment") != ALL)
        finer = segkit.measure_lift(
            frame, control="none", metrics=["revenue"], covariates=["warm"]
        ).effects.filter(pl.col("segment") != ALL)
        money = segkit.measure_profit(
            frame, control="none", margin=MARGIN, cost_per_contact=COST
        ).table.filter(pl.col("segment") != ALL)
        for name in ("conversion", "orders", "revenue", "order value"):
            part = plain.filter(metric=name.replace(" ", "_")).sort("segment")
            own = {key: found[name][key][r] for key in ("d", "low", "high", "p")}
            p = part["p_value"].to_numpy()
            if name == "order value":  # its p-value is not drawn here, its interval follows it
                own["p"] = p
            own = raised(widened(own), p)
            for key, column in (("d", "difference"), ("low", "difference_low"),
                                ("high", "difference_high"), ("p", "p_value")):  # fmt: skip
                agree(own[key], part[column].to_numpy(), (name, key))
        part = finer.sort("segment")
        for key, column in (("d", "difference"), ("low", "difference_low"), ("p", "p_value")):
            agree(found["CUPED revenue"][key][r], part[column].to_numpy(), ("CUPED", key))
        low = money.sort("segment")["added_profit_low"].cast(pl.Float64).to_numpy()
        agree(found["profit"]["low"][r], low, "profit")


def widened(found):
    """Extend intervals without zero to it where the test does not reject, as a row does."""
    spared = found["p"] > 0.05
    below = {key: found[key] for key in ("low", "bare_low") if key in found}
    above = {key: found[key] for key in ("high", "bare_high") if key in found}
    return (
        found
        | {key: np.where(spared, np.minimum(low, 0), low) for key, low in below.items()}
        | {key: np.where(spared, np.maximum(high, 0), high) for key, high in above.items()}
    )


def raised(own, p):
    """Take a row's p-value from `p` where it becomes that of the interval, which holds zero."""
    held = (own["p"] <= 0.05) & (own["low"] <= 0) & (own["high"] >= 0)
    assert (p[held] > 0.05).all(), "a p-value below .05 stands beside an interval without effect"
    return own | {"p": np.where(held, p, own["p"])}


def agree(one, two, what):
    np.testing.assert_allclose(one, two.astype(float), rtol=1e-6, atol=1e-9, err_msg=str(what))


def expand(rows, r, n, name):
    baskets, orders, warm_buyer, k, warm = (part[r] for part in rows)
    parts = []
    for g in range(k.size):
        some = slice(0, int(k[g]))
        left = int(warm[g] - warm_buyer[g, some].sum())
        rest = n - int(k[g])
        parts.append(
            pl.DataFrame(
                {
                    "arm": [name] * n,
                    "segment": [f"S{g:02d}"] * n,
                    "converted": [1] * int(k[g]) + [0] * rest,
                    "orders": np.r_[orders[g, some], np.zeros(rest)],
                    "revenue": np.r_[baskets[g, some], np.zeros(rest)],
                    "warm": np.r_[warm_buyer[g, some].astype(float), np.ones(left),
                                  np.zeros(rest - left)],
                }
            )
        )  # fmt: skip
    return pl.concat(parts)


def everything(one, two):
    """Judge every metric of some campaigns, segment by segment."""
    found = {
        "conversion": share(one, two),
        "orders": mean(one, two, "orders"),
        "revenue": mean(one, two, "revenue"),
        "CUPED revenue": adjusted(one, two),
        "order value": ratio(one, two),
    }
    revenue = found["revenue"]
    money = ("d", "low", "high", "bare_low", "bare_high")
    profit = {key: MARGIN * revenue[key] - COST for key in money}
    found["profit"] = {**profit, "p": revenue["p"], "few": revenue["few"]}
    found["ROI"] = {**{key: value / COST for key, value in profit.items()},
                    "p": revenue["p"], "few": revenue["few"]}  # fmt: skip
    return found | {name: widened(found[name]) for name in ("conversion", "orders", "revenue")}


def true_values(effect, p, sd):
    """Return each metric's true difference by segment, and all customers' weights."""
    rise = 1 + LIFT if effect == "conversion" else 1.0
    dearer = 1 + LIFT if effect == "basket" else 1.0
    basket = float(np.exp(3.5 + sd**2 / 2))
    per_order = basket / 1.3
    revenue = p * basket * (rise * dearer - 1)
    gain = {
        "conversion": p * (rise - 1),
        "orders": 1.3 * p * (rise - 1),
        "revenue": revenue,
        "CUPED revenue": revenue,
        "order value": np.full(p.size, per_order * (dearer - 1)),
        "profit": MARGIN * revenue - COST,
    }
    return {**gain, "ROI": gain["profit"] / COST}


def cell(place, repeats):
    """Run one cell; return its rows."""
    control, base, customers, segments, sd, effect = CELLS[place]
    random = np.random.default_rng([20261128, place])
    p = truths(base, segments)
    n_control = max(2, round(customers * control / segments))
    n_arm = round(customers / segments) - n_control
    true = true_values(effect, p, sd)
    rise = 1 + LIFT if effect == "conversion" else 1.0
    dearer = 1 + LIFT if effect == "basket" else 1.0
    kept: dict[str, list[dict[str, np.ndarray]]] = {}
    shrunken: list[dict[str, Any]] = []
    nulls: dict[str, list[np.ndarray]] = {}
    for first in range(0, repeats, CHUNK):
        size = min(CHUNK, repeats - first)
        one = draw(random, n_arm, p * rise, sd, dearer, size)
        two = draw(random, n_control, p, sd, 1.0, size)
        found = everything(one, two)
        if first == 0:
            check(one, two, found, n_arm, n_control)
        wholes = pooled(one), pooled(two)
        whole = {
            "conversion": widened(share(*wholes)),
            "orders": widened(mean(*wholes, "orders")),
            "revenue": widened(mean(*wholes, "revenue")),
            "CUPED revenue": adjusted(*wholes),
        }
        for name in ("conversion", "orders", "revenue"):
            keep(kept, f"old {name}", welch(one, two, name))
            keep(kept, f"old whole {name}", welch(*wholes, name))
        for name, value in found.items():
            keep(kept, name, value)
        for name, value in whole.items():
            keep(kept, f"whole {name}", value)
        if effect != "none":
            fresh = (
                pooled(draw(random, n_arm, p, sd, 1.0, size)),
                pooled(draw(random, n_control, p, sd, 1.0, size)),
            )
            for name in ("orders", "revenue"):
                nulls.setdefault(name, []).append(fresh[0][name].mean - fresh[1][name].mean)
            nulls.setdefault("conversion", []).append(
                fresh[0]["k"] / fresh[0]["n"] - fresh[1]["k"] / fresh[1]["n"]
            )
        if segments > 1 and first < SHRUNK:
            shrunken += [shrink_one(one, two, r, true) for r in range(min(size, SHRUNK - first))]
    result = {key: stack(value) for key, value in kept.items()}
    expects = n_control * p * (1 if control <= 0.5 else rise)
    about = {"control": control, "rate": base, "customers": customers, "segments": segments,
             "log_sd": sd, "effect": effect}  # fmt: skip
    return {"rows": [*summarise(result, true, expects, effect, about, nulls, repeats),
                     *summarise_shrunken(shrunken, about)]}  # fmt: skip


def keep(store, name, value):
    store.setdefault(name, []).append(value)


def stack(parts):
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def shrink_one(one, two, r, true):
    """Shrink one campaign's segments, now and as before: misses, and whether any excludes zero."""
    found = {}
    for name, metric in (("conversion", None), ("revenue", "revenue")):
        arms = []
        for arm in (one, two):
            k, n = arm["k"][r], arm["n"][r]
            flat = Amounts(n, k, k, np.zeros(k.size), np.zeros(k.size))
            a = flat if metric is None else Amounts(*(
                np.asarray(getattr(arm[metric], f))[r] for f in Amounts.__slots__))  # fmt: skip
            arms.append(a)
        cases = effective_cases(*arms)
        now = shrink_counts(cases, [a.n for a in arms], [a.total for a in arms])
        errors = np.sqrt(sum(a.about(a.mean)[0] / (a.n - 1) / a.n for a in arms))
        old = shrink(arms[0].mean - arms[1].mean, errors)
        for which, value in (("now", now), ("old", old)):
            some = np.isfinite(value.low)
            found[name, which] = (
                int(((value.low > true[name]) & some).sum()),
                int(((value.high < true[name]) & some).sum()),
                int(some.sum()),
                bool((value.low > 0).any()),
            )
    return found


def summarise(result, true, expects, effect, about, nulls, repeats):
    """Make the rows of one cell: a row a metric and scope."""
    enough = expects >= EXPECTED_BUYERS
    scopes = {ENOUGH: enough, FEWER: ~enough}
    rows = []
    for name in METRICS:
        null = name in NULL[effect] and name not in ("order value", "profit", "ROI")
        for scope, places in scopes.items():
            if places.any():
                row = {"metric": name, "scope": scope,
                       "expected_buyers": float(expects[places].mean())}  # fmt: skip
                row |= covers(result[name], true[name], places)
                row |= covers(result.get(f"old {name}"), true[name], places, "old_")
                if null and (scope == ENOUGH or not enough.any()):
                    row |= alarms(result[name], result.get(f"old {name}"))
                rows.append({**about, **row, "campaigns": repeats})
        whole, old = result.get(f"whole {name}"), result.get(f"old whole {name}")
        if whole is not None:
            row = {"metric": name, "scope": ALL, "expected_buyers": float(expects.sum())}
            row |= covers(whole, np.array([true[name].mean()]), np.array([True]))
            row |= covers(old, np.array([true[name].mean()]), np.array([True]), "old_")
            row |= alarms(whole, old) if null else {}
            row |= powers(whole, old, nulls[name]) if name in nulls and not null else {}
            rows.append({**about, **row, "campaigns": repeats})
    return rows


def covers(found, truth, places, start=""):
    """Return how often intervals hold the truth, miss it flatteringly, and are withheld."""
    if found is None:
        return {}
    low, high = found["low"][:, places], found["high"][:, places]
    shown, value = np.isfinite(low), truth[places]
    row = {}
    if not start:
        row = {"intervals": int(shown.sum()), "withheld": float(1 - shown.mean())}
        bare_low, bare_high = found["bare_low"][:, places], found["bare_high"][:, places]
        known = np.isfinite(bare_low)
        held = (bare_low <= value) & (bare_high >= value) & known
        row["coverage_if_shown"] = float(held.sum() / max(known.sum(), 1))
    if shown.any():
        hits = (low <= value) & (high >= value) & shown
        row[f"{start}coverage"] = float(hits.sum() / shown.sum())
        row[f"{start}flattering"] = float(((low > value) & shown).sum() / shown.sum())
    return row


def alarms(found, old):
    """Return how often a metric without effect is "higher" or "lower" somewhere."""
    row = {"family": float(holm(found).any(axis=1).mean())}
    if old is not None:
        old = {**old, "low": np.full(old["d"].shape, 1.0)}  # its verdicts knew p-values alone
        row["old_family"] = float(holm(old).any(axis=1).mean())
    return row


def powers(found, old, nulls):
    """Return how often a true effect over all customers is found, beside the oracle."""
    critical = np.quantile(np.concatenate(nulls), 0.975)
    return {
        "power": float(((found["p"] <= 0.05) & (found["low"] > 0) & ~found["few"]).mean()),
        "old_power": float(((old["p"] <= 0.05) & (old["d"] > 0)).mean()),
        "oracle_power": float((found["d"] > critical).mean()),
    }


def summarise_shrunken(shrunken, about):
    rows = []
    if not shrunken:
        return rows
    for name in ("conversion", "revenue"):
        row = {**about, "metric": f"shrunken {name}", "scope": "segments",
               "campaigns": len(shrunken), "withheld": 0.0}  # fmt: skip
        for which, start in (("now", ""), ("old", "old_")):
            above, below, some, zero = np.array(
                [one[name, which] for one in shrunken], dtype=float
            ).sum(axis=0)  # fmt: skip
            row[f"{start}coverage"] = 1 - (above + below) / some
            row[f"{start}flattering"] = above / some
            row.setdefault("intervals", int(some))
            if about["effect"] == "none":
                row[f"{start}family"] = zero / len(shrunken)
        rows.append(row)
    return rows


COLUMNS = ("metric", "scope", "control", "rate", "customers", "segments", "log_sd", "effect",
           "expected_buyers", "campaigns", "intervals", "withheld", "family", "coverage",
           "coverage_if_shown", "flattering", "power", "oracle_power", "old_family",
           "old_coverage", "old_flattering", "old_power")  # fmt: skip


def misses(table):
    """Return the rows that miss what is asked, beyond Monte Carlo error."""
    found = []
    for row in table.iter_rows(named=True):
        enough = row["scope"] != FEWER
        enough &= row["expected_buyers"] is None or row["expected_buyers"] >= EXPECTED_BUYERS
        said = []
        if row["family"] is not None:
            hits = round(row["family"] * row["campaigns"])
            if rate(hits, row["campaigns"])["low"] > 0.05:
                said.append(f"family {row['family']:.3f}")
        if enough and row["coverage"] is not None and row["intervals"] > 0:
            n = row["intervals"]
            if rate(round(row["coverage"] * n), n)["high"] < 0.94:
                said.append(f"coverage {row['coverage']:.3f}")
            if rate(round(row["flattering"] * n), n)["low"] > 0.035:
                said.append(f"flattering {row['flattering']:.3f}")
        if said:
            where = ", ".join(str(row[c]) for c in COLUMNS[:8])
            found.append(f"{where}: {', '.join(said)}")
    return found


def main():
    """Run the cells and publish one row per cell, metric and scope."""
    options = arguments(__doc__, seeds=2000, thin=200)
    places = [0, 1, 15, 29] if options.thin else range(len(CELLS))
    cells = [(place, options.seeds) for place in places]
    found = over_seeds(cell, cells, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    rows = [row for part in found["rows"].to_list() for row in part]
    table = pl.DataFrame(rows, infer_schema_length=None).select(COLUMNS)
    short = misses(table)
    n = options.seeds
    families = table.get_column("family").drop_nulls().len()
    see = 1.96 * (0.05 * 0.95 / n) ** 0.5
    note = (
        f"{n} campaigns a cell; B = {EXPECTED_BUYERS:g} expected buyers in the smaller arm. Asked: "
        "family <= .05; where B or more are expected, coverage >= .94 and flattering <= .035,\n"
        f"each beyond its 95% Monte Carlo limits (family: {see:.3f}; a family level of "
        f"{0.05 + 2.8 * see / 1.96:.3f} or a coverage of "
        f"{0.94 - 2.8 * (0.94 * 0.06 / n) ** 0.5:.3f} in one cell would have been seen with 80% "
        "power).\n"
        f"Judged one by one: of {families} family levels at exactly .05, {0.025 * families:.0f} "
        "would be named by chance.\n"
        f"Missing what is asked: {'none' if not short else ''}" + "".join(f"\n  {s}" for s in short)
    )
    publish(table, "small_holdout", thin=options.thin, note=note)
    print(note)
    if options.thin and short:
        raise SystemExit(f"{len(short)} rows miss what is asked")


if __name__ == "__main__":
    main()
