"""Offers tested at random: the best offer for each segment, and the value of that policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import NO_OFFER, name_segments
from segkit.campaign.eligibility import check_customers
from segkit.display import counted, money, number, percent
from segkit.errors import DataError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.lift.requirements import finite_values
from segkit.result import Figure, Result
from segkit.stats.hashing import unit_hash
from segkit.stats.intervals import ci_words, wilson, z_value
from segkit.stats.policy import (
    Trial,
    cell_errors,
    cells,
    honest_scores,
    interaction_test,
    joint_errors,
    learn_best,
    least_error,
    lent_customers,
    shrink,
    split_folds,
    value_of,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pilot(Result):
    """Result of a pilot: offer values by segment, the policy and its value.

    Attributes
    ----------
    cells : polars.DataFrame
        One row per segment and offer: segment, segment_name, offer, customers, mean (of the
        outcome) with low and high (Wilson for 0/1 outcomes, else normal), payoff (its mean),
        payoff_shrunken (moved towards "every offer does the same everywhere") with payoff_error
        and payoff_loading (list: correlation of the cells' errors, see
        `segkit.stats.policy.joint_errors`), best (Boolean: the policy's offer).
    policy : polars.DataFrame
        segment, segment_name, offer, offer_name, sure_share: the learnt policy, and the share of
        bootstrap resamples of the pilot in which that offer is best; tied (the other offers whose
        chance to be the best one is at least `TIE`, the likeliest first, with `TIE_MARK` between;
        empty for none).
    values : polars.DataFrame
        policy ("tailored by segment", "best single offer", and each offer to everyone), value
        (mean payoff per customer) with low and high, learnt and valued on different customers. The
        value is that of policies learnt on part of the pilot (the first fold, the first two, ...),
        averaged; `policy` itself is learnt from all customers.
    gain, gain_low, gain_high : float
        Value of the tailored policy less that of the best single offer, per customer.
    single : str
        The best single offer, learnt from all.
    interaction_p : float
        p-value of "every offer does the same in every segment".
    interaction_sd : float
        Estimated standard deviation of the true interaction, in the payoff's unit.
    outcome, payoff : str
        Columns of the outcome (cells) and of the payoff (values).
    is_share : bool
        Whether the outcome is 0/1.
    money : bool
        Whether the payoff is money (else in the outcome's unit).
    folds, customers : int
    level : float
    notes : tuple of str
    currency : str or None
        Of the payoff, where that is money.
    """

    cells: pl.DataFrame
    policy: pl.DataFrame
    values: pl.DataFrame
    gain: float
    gain_low: float
    gain_high: float
    single: str
    interaction_p: float
    interaction_sd: float
    outcome: str
    payoff: str
    is_share: bool
    money: bool
    folds: int
    customers: int
    level: float
    notes: tuple[str, ...]
    currency: str | None = None

    def to_frame(self) -> pl.DataFrame:
        """Return the cells, one row per segment and offer, without the lists of loadings."""
        return self.cells.drop("payoff_loading")

    @property
    def common_offer(self) -> str:
        """The one offer for all customers: the generic one, or else the best single one."""
        if "generic" in self.cells["offer"] or self.single == "none":
            return "generic"
        return self.single

    @property
    def pays(self) -> bool:
        """Whether the pilot shows that tailoring by segment pays."""
        return self.gain_low > 0

    def _words(self, value: float) -> str:
        if self.money:
            return money(value)
        return percent(value, places=2) if self.is_share else number(value)

    @property
    def answer(self) -> str:
        """Whether tailoring pays by the pilot, with the gain per customer."""
        if self.gain == self.gain_low == self.gain_high == 0:
            return f"Not shown that they should differ: {words(self.single)} did best everywhere."
        gain = money(self.gain, self.currency) if self.money else self._words(self.gain)
        ends = ci_words(self.gain_low, self.gain_high, self.level, self._words)
        shown = "Yes" if self.pays else "No" if self.gain_high < 0 else "Not shown"
        return f"{shown}: {gain} per customer ({ends}) more than the best single offer."

    @property
    def text(self) -> str:
        """The finding in words."""
        gain = money(self.gain, self.currency) if self.money else self._words(self.gain)
        interval = ci_words(self.gain_low, self.gain_high, self.level, self._words)
        reach = f"{gain} per customer ({interval})"
        payoff = self.payoff.replace("_", " ")
        not_shown = "Tailoring is not shown to pay:"
        if self.gain == self.gain_low == self.gain_high == 0:
            finding = (
                f"{not_shown} whichever part of the customers it was learnt from, the best offer "
                "was the same one for every segment."
            )
        elif self.pays:
            finding = (
                f"Tailoring pays: the offer learnt for each segment brings {reach} more {payoff} "
                "than the best single offer."
            )
        elif self.gain_high < 0:
            finding = (
                f"Tailoring loses: what was learnt for each segment brings {reach} of {payoff} "
                "against the best single offer."
            )
        else:
            finding = (
                f"{not_shown} what was learnt for each segment differs from the best single offer "
                f"by {reach} of {payoff}, which may be nothing."
            )
        alike = self.policy["offer"].unique().to_list() == [self.single]
        every = ", and that is learnt for every segment" if alike else ""
        single = (
            f"Over all {counted(self.customers, 'customer')} the best single choice is "
            f"{words(self.single)} to everyone{every}. What is compared was always learnt from "
            f"other customers than it is valued on, in {steps(self.folds)}."
        )
        parts = [finding, self._interaction_words(), single, self.tie_words(), *self.notes]
        return " ".join(part for part in parts if part)

    def tie_words(self) -> str:
        """Name the segments whose best offer the pilot does not tell from others."""
        if "tied" not in self.policy.columns:  # read from a file of an earlier version
            return ""
        rows = self.policy.filter(pl.col("tied") != "").iter_rows(named=True)
        ties = "; ".join(
            f"{row['segment_name']} "
            f"({', '.join(map(words, (row['offer'], *row['tied'].split(TIE_MARK))))})"
            for row in rows
        )
        return f"Tied, so that the offers named may each be the best: {ties}." if ties else ""

    def _interaction_words(self) -> str:
        if np.isnan(self.interaction_p):
            return "Whether offers work differently by segment cannot be tested here."
        p = "p below 0.001" if self.interaction_p < 0.001 else f"p = {number(self.interaction_p)}"
        if self.interaction_p < 0.05:
            return f"Offers work differently by segment ({p})."
        return f"That offers work alike in all segments is not ruled out ({p})."

    def plot(self) -> Figure:
        """Draw the outcome by segment and offer, with intervals written in."""
        from segkit.plot.heatmaps import offer_map

        return offer_map(
            self.to_frame().with_columns(pl.col("offer").map_elements(words, pl.String)),
            "offer",
            "segment_name",
            "mean",
            interval=("low", "high"),
            mark="best",
            percent=self.is_share,
            title="Tailoring pays" if self.pays else "Tailoring is not shown to pay",
            x_label="Offer, given at random",
            y_label="Segment",
            value_label=self.outcome.replace("_", " "),
            mark_label="learnt for the segment",
        )

    def plot_values(self) -> Figure:
        """Draw the value of each policy with its interval."""
        from segkit.plot import intervals

        unit = f", {self.currency}" if self.currency and self.money else ""
        offers = [*self.cells["offer"].unique(), "none"]
        learnt = (
            pl.when(pl.col("policy").is_in(offers)).then(pl.lit("")).otherwise(pl.lit(", learnt"))
        )
        return intervals(
            self.values.with_columns(
                policy=pl.col("policy").map_elements(words, pl.String) + learnt
            ),
            "policy",
            "value",
            reference=None,
            percent=self.is_share and not self.money,
            title="What each policy would earn per customer",
            y_label=f"{self.payoff.replace('_', ' ')} per customer{unit}",
            x_label="Policy",
        )


def steps(folds: int) -> str:
    """Write in words how often a policy was learnt and evaluated.

    Examples
    --------
    >>> steps(2), steps(5)
    ('one step', '4 steps, each learning from all customers before it')
    """
    if folds == 2:
        return "one step"
    return f"{counted(folds - 1, 'step')}, each learning from all customers before it"


def words(offer: str) -> str:
    """Write an offer's code in words.

    Examples
    --------
    >>> words("flash_sale"), words("none")
    ('flash sale', 'no offer')
    """
    return "no offer" if offer == NO_OFFER else offer.replace("_", " ")


SMALL_CELL = 30
TIE_MARK = " / "
TIE = 0.1  # an offer with this chance to be the best of its segment is tied with the one chosen
_DRAWS = 4000  # of the cells' true payoffs, for the chances


@takes_frames
def read_pilot(
    frame: pl.DataFrame,
    outcome: str = "converted",
    *,
    payoff: str | None = None,
    name: str | None = None,
    label: str = "",
    folds: int = 5,
    repeats: int = 200,
    level: float = 0.95,
    seed: int = 0,
    currency: str | None = None,
) -> Pilot:
    """Estimate the best offer for each segment, and whether tailoring pays.

    Every customer's offer was assigned at random. The best offer of each segment is learnt from
    some customers and valued on others, against giving everyone the offer that is best for all
    together, learnt in the same way.

    Parameters
    ----------
    frame : DataFrame
        One row per customer: customer_id, offer, the segment as of the pilot's assignment, the
        outcome, the payoff.
    outcome : str
        0/1 or a number: what the cells show.
    payoff : str, optional
        What the policy is to maximise (profit per customer, the cost of the contact taken off);
        the outcome by default.
    name : str, optional
        Column of the segment's name.
    label : str
        The outcome in words, for the figure.
    folds : int
        Number of parts of the customers. The policy learnt on the first part is valued on the
        second, the policy learnt on the first two is valued on the third, and so on.
    repeats : int
        Bootstrap resamples that measure how often each segment's best offer is found again.
    level : float
    seed : int
    currency : str, optional
        Of the payoff, for texts.

    Returns
    -------
    Pilot

    Raises
    ------
    DataError
        If a customer comes twice, a value is missing, or there are fewer than two offers, or fewer
        than two customers per fold.
    ParameterError
        If an offer is unknown, or shares do not sum to 1.

    Examples
    --------
    >>> n = 400
    >>> pilot = pl.DataFrame({
    ...     "customer_id": [str(i) for i in range(n)],
    ...     "segment": ["A", "B"] * (n // 2), "offer": ["x", "x", "y", "y"] * (n // 4)})
    >>> hit = (pl.col("segment") == "A") == (pl.col("offer") == "x")
    >>> found = read_pilot(pilot.with_columns(converted=hit.cast(pl.Int8)))
    >>> dict(found.policy.select("segment", "offer").iter_rows()), found.pays
    ({'A': 'x', 'B': 'y'}, True)
    """
    check_customers(frame)
    aim = payoff or outcome
    need = ["offer", "segment", outcome, aim, *([name] if name else [])]
    require_columns(frame.columns, need, "the pilot")
    frame = frame.sort("customer_id")  # results must not depend on the row order
    trial, segments, options = make_trial(frame, "segment", "offer", aim)
    learners: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "tailored by segment": partial(learn_best, trial),
        "best single offer": partial(learn_best, trial, method="single"),
    }
    for k, option in enumerate(options):
        learners[option] = partial(_fixed_policy, np.full(trial.n_groups, k, dtype=np.int64))
    scores = honest_scores(trial, learners, split_folds(trial, folds, seed))
    given = {policy: learn(np.arange(frame.height)) for policy, learn in learners.items()}
    best, one = given["tailored by segment"], given["best single offer"]
    gain = value_of(
        scores["tailored by segment"] - scores["best single offer"],
        level=level,
        least=least_error(trial, best, one),
    )
    shown = replace(trial, outcome=finite_values(frame, outcome))
    is_share = bool(np.isin(shown.outcome, (0.0, 1.0)).all())
    table, spread = _cell_table(trial, shown, segments, options, best, level)
    cell_values = (
        table["payoff_shrunken"].to_numpy().reshape(len(segments), -1),
        np.array(table["payoff_loading"].to_list()),
    )
    names = name_segments(frame, "segment", name)
    learnt = [options[k] for k in best]
    policy = pl.DataFrame(
        {
            "segment": segments,
            "segment_name": [names[s] for s in segments],
            "offer": learnt,
            "offer_name": [words(offer) for offer in learnt],
            "sure_share": _share_best(trial, best, repeats, seed),
            "tied": [TIE_MARK.join(ties) for ties in find_ties(*cell_values, options, best, seed)],
        }
    )
    return Pilot(
        cells=table.with_columns(segment_name=pl.col("segment").replace_strict(names)),
        policy=policy,
        values=_values(trial, scores, given, level),
        gain=gain.value,
        gain_low=gain.low,
        gain_high=gain.high,
        single=options[int(one[0])],
        interaction_p=interaction_test(trial),
        interaction_sd=spread,
        outcome=label or outcome,
        payoff=aim,
        is_share=is_share,
        money=aim != outcome,
        folds=folds,
        customers=frame.height,
        level=level,
        notes=_notes(trial, [names[s] for s in segments], options),
        currency=currency,
    )


def _fixed_policy(policy: np.ndarray, rows: np.ndarray) -> np.ndarray:  # noqa: ARG001
    return policy


def make_trial(
    frame: pl.DataFrame,
    group: str,
    option: str,
    outcome: str,
) -> tuple[Trial, list[str], list[str]]:
    """Turn a randomised frame into codes, and return the groups' and options' names too.

    Raises
    ------
    DataError, ParameterError
        As in `read_pilot`.
    """
    lost = frame.select(pl.col(group, option).null_count()).row(0)
    if sum(lost):
        raise DataError(
            f"{counted(lost[0], 'customer has', 'customers have')} no {group} and "
            f"{number(lost[1])} no {option}; leave them out and count them"
        )
    columns = [frame.get_column(name).cast(pl.String) for name in (group, option)]
    groups, options = (sorted(column.unique().to_list()) for column in columns)
    options.sort(key=lambda one: one != NO_OFFER)  # no offer first
    if len(options) < 2:
        raise DataError(
            f"expected at least two values of {option} to compare; all customers got {options[0]!r}"
        )
    group_code, code = (
        column.replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
        for column, names in zip(columns, (groups, options), strict=True)
    )
    chance = np.bincount(code, minlength=len(options)) / len(code)
    y = finite_values(frame, outcome)
    return Trial(group_code, code, y, chance, len(groups), len(options)), groups, options


def _values(
    trial: Trial, scores: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray], level: float
) -> pl.DataFrame:
    rows = []
    for policy, mine in scores.items():
        value = value_of(mine, level=level, least=least_error(trial, given[policy]))
        rows.append((policy, value.value, value.low, value.high))
    return pl.DataFrame(rows, schema=["policy", "value", "low", "high"], orient="row")


def _cell_table(
    trial: Trial,
    shown: Trial,
    segments: list[str],
    options: list[str],
    best: np.ndarray,
    level: float,
) -> tuple[pl.DataFrame, float]:
    """Return the cells of the outcome shown and of the payoff, and the interaction's spread."""
    n, mean, variance = cells(shown)
    if np.isin(shown.outcome, (0.0, 1.0)).all():
        limits = wilson(np.where(n > 0, mean, 0) * n, n, level=level)
        low, high = limits.low, limits.high
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.sqrt(variance / n)
        reach = z_value(level) * np.fmax(own, cell_errors(n, mean, variance, lent_customers(shown)))
        low, high = mean - reach, mean + reach
    payoff, lent = cells(trial), lent_customers(trial)
    shrunken, _, spread = shrink(*payoff, lent)
    loading = joint_errors(*payoff, lent)
    rows, columns = np.divmod(np.arange(n.size), trial.n_options)
    table = pl.DataFrame(
        {
            "segment": [segments[r] for r in rows],
            "offer": [options[c] for c in columns],
            "customers": n.ravel().astype(np.int64),
            "mean": mean.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
            "payoff": payoff[1].ravel(),
            "payoff_shrunken": shrunken.ravel(),
            "payoff_error": np.linalg.norm(loading, axis=1),
            "payoff_loading": loading.tolist(),
            "best": columns == best[rows],
        }
    )
    return table.with_columns(pl.col(pl.Float64).fill_nan(None)), spread


def _share_best(trial: Trial, best: np.ndarray, repeats: int, seed: int) -> list[float]:
    """Return the share of resamples of the pilot in which each segment's best offer stays best."""
    rng = np.random.default_rng(seed)
    n, mean, variance = cells(trial)
    same, lent = np.zeros(trial.n_groups), lent_customers(trial)
    error = cell_errors(n, mean, variance, lent)
    level = np.where(n > 0, mean, 0.0)
    for _ in range(repeats):  # cell means are nearly normal; no need to resample customers
        drawn = np.where(n > 0, level + error * rng.standard_normal(n.shape), np.nan)
        drawn = shrink(n, drawn, variance, lent)[0]
        top = np.nanmax(drawn, axis=1, keepdims=True)
        same += np.argmax(drawn >= top - 1e-12 * (1 + np.abs(top)), axis=1) == best
    return [float(share) for share in same / max(1, repeats)]


def find_ties(
    shrunken: Floats,
    loading: Floats,
    options: Sequence[str],
    best: Ints,
    seed: int,
    *,
    tried: npt.NDArray[np.bool_] | None = None,
) -> list[list[str]]:
    """Return each segment's offers that may as well be the best, besides the one chosen.

    Parameters
    ----------
    shrunken : array of shape (segments, options)
        Payoffs as `segkit.stats.policy.shrink` gives them.
    loading : array of shape (segments * options, segments * options)
        Factor of their errors (`segkit.stats.policy.joint_errors`).
    options : sequence of str
    best : array of shape (segments,)
        Places of the options chosen.
    seed : int
    tried : array of bool, shape (segments, options), optional
        Cells with customers; no other can be tied.
    """
    rng = np.random.default_rng([seed, 1])
    errors = loading @ rng.standard_normal((loading.shape[1], _DRAWS))
    payoff = (shrunken.reshape(-1, 1) + errors).reshape(len(best), len(options), _DRAWS)
    if tried is not None:
        payoff = np.where(tried[..., None], payoff, -np.inf)
    ties = []
    for row, chosen in zip(payoff.argmax(axis=1), best, strict=True):
        chance = np.bincount(row, minlength=len(options)) / _DRAWS
        order = np.argsort(-chance, kind="stable")
        ties.append([options[k] for k in order if chance[k] >= TIE and k != chosen])
    return ties


@takes_frames
def explore_ties(
    customers: pl.DataFrame,
    policy: pl.DataFrame,
    *,
    share: float = 0.1,
    campaign_id: str = "",
    seed: int = 0,
) -> pl.DataFrame:
    """Assign one of the tied offers at random to part of each segment that has ties.

    Parameters
    ----------
    customers : DataFrame
        customer_id, segment, offer (the policy's, or a rule's own).
    policy : DataFrame
        segment, offer, tied: `Pilot.policy`.
    share : float
        Part of a segment with ties that explores, from 0 to below 1. Customers whose offer is not
        the policy's, by a rule of its own, keep theirs.
    campaign_id : str
        Part of the hash's key, with ``seed``: each customer's draw is the same when repeated.
    seed : int

    Returns
    -------
    DataFrame
        The customers, with ``offer`` changed for those who explore, and ``explores`` (Boolean).

    Raises
    ------
    ParameterError
        If the share is out of range.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": list("abcd"), "segment": "S1", "offer": "sale"})
    >>> learnt = pl.DataFrame({"segment": ["S1"], "offer": ["sale"], "tied": ["guide"]})
    >>> explore_ties(people, learnt, share=0.5)["offer"].value_counts(sort=True).rows()
    [('sale', 2), ('guide', 2)]
    """
    require_range("[0, 1)", share=share)
    require_columns(customers.columns, ["customer_id", "segment", "offer"], "customers")
    require_columns(policy.columns, ["segment", "offer", "tied"], "the policy")
    draws = unit_hash(customers.get_column("customer_id").cast(pl.String), seed, campaign_id, "tie")
    ties = pl.col("tied").replace("", None).str.split(TIE_MARK)
    learnt = policy.select("segment", tied=ties, learnt="offer")
    joined = customers.with_columns(tie_draw=pl.Series(draws)).join(
        learnt, on="segment", how="left", maintain_order="left"
    )
    tied = (pl.col("offer") == pl.col("learnt")) & (pl.col("tied").list.len() > 0)
    explores = (tied & (pl.col("tie_draw") < share)).fill_null(value=False)
    place = (pl.col("tie_draw") / max(share, 1e-12) * pl.col("tied").list.len()).floor()
    tied = pl.col("tied").list.get(place.cast(pl.Int64), null_on_oob=True)
    return joined.with_columns(
        offer=pl.when(explores).then(tied).otherwise("offer"), explores=explores
    ).drop("tie_draw", "learnt", "tied")


def _notes(trial: Trial, segments: list[str], options: list[str]) -> tuple[str, ...]:
    n = cells(trial)[0]
    small = int((n < SMALL_CELL).sum())
    row, column = np.unravel_index(int(n.argmin()), n.shape)
    note = (
        f"Warning: {number(small)} of {counted(n.size, 'cell holds', 'cells hold')} fewer than "
        f"{number(SMALL_CELL)} customers (the least, {segments[row]} with "
        f"{words(options[column])}: {number(int(n.min()))}); what is learnt there is mostly noise."
    )
    return (note,) if small else ()
