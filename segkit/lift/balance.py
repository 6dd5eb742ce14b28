"""Sample ratio of the arms against the plan, and balance of covariates before the campaign."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.display import counted, label, number, percent
from segkit.errors import DataError, require_choice, require_columns
from segkit.frames import takes_frames
from segkit.lift.outcomes import Outcomes
from segkit.lift.requirements import frame_of
from segkit.lift.sums import sum_up
from segkit.lift.verdicts import ALL
from segkit.lift.wording import p_words
from segkit.result import Figure, Result
from segkit.stats.effects import standardised_difference
from segkit.stats.hypotheses import adjust, mean_t_test, planned_split

FAR = 0.1  # standardised difference from which a covariate should be inspected


@dataclass(frozen=True, slots=True, eq=False)
class SampleRatio(Result):
    """Test of the arms' sizes against the planned shares.

    Attributes
    ----------
    table : DataFrame
        One row per group ("all customers" first): segment, customers, chi_square, p_value,
        p_adjusted (Holm over segments; the overall test is not adjusted), as_planned, a count per
        arm.
    planned : dict of str to float
        Planned share of each arm.
    alpha : float
        P-value below which the split counts as different from the plan.
    """

    table: pl.DataFrame
    planned: dict[str, float]
    alpha: float

    @property
    def level(self) -> str:
        """The badge: "good" or "poor"."""
        return "good" if self.table["as_planned"].all() else "poor"

    def _repr_html_(self) -> str:
        # Use the page's own colour for the level, which fits light and dark pages; else its text
        # colour.
        colour = f"var(--{self.level}, currentColor)"
        mark = "✓" if self.level == "good" else "✗"
        title = "Sample ratio as planned" if self.level == "good" else "Sample-ratio mismatch"
        badge = (
            f'<p><strong style="border:2px solid {colour};color:{colour};border-radius:4px;'
            f'padding:2px 8px">{mark} {title}</strong></p>'
        )
        return f"{badge}<p>{html.escape(self.text)}</p>"

    @property
    def answer(self) -> str:
        """Whether the split is as planned, with the test over all customers."""
        row, off, test = self._test()
        customers = counted(sum(row[arm] for arm in self.planned), "customer")
        where = f"a mismatch in {', '.join(off[:3])}" if off else "no sample-ratio mismatch"
        return f"{'No' if off else 'Yes'}: {where} among {customers} ({test})."

    @property
    def text(self) -> str:
        """Finding: whether the split is as planned, and what follows if it is not."""
        row, off, test = self._test()
        plan = ", ".join(f"{arm} {percent(share)}" for arm, share in self.planned.items())
        counts = ", ".join(f"{arm} {number(row[arm])}" for arm in self.planned)
        if not off:
            more = self.table.height - 1
            within = f", nor in any of {counted(more, 'segment')} (Holm)" if more else ""
            return (
                f"The split is as planned ({plan}): {counts}; {test}. No sample-ratio mismatch "
                f"at the {percent(self.alpha, places=0)} level overall{within}."
            )
        return (
            f"Sample-ratio mismatch in {', '.join(off)}: planned {plan}; {counts}; {test} over all "
            "customers. Something lost or added customers in one arm, so no lift below can be "
            "trusted until that is found."
        )

    def _test(self) -> tuple[dict[str, Any], list[str], str]:
        """Return the row of all customers, the groups off the plan, and the test in words."""
        row = self.table.row(0, named=True)
        off = self.table.filter(~pl.col("as_planned"))["segment"].to_list()
        return row, off, f"chi-square {number(row['chi_square'])}, {p_words(row['p_value'])}"


@takes_frames
def check_sample_ratio(
    outcomes: Outcomes | pl.DataFrame,
    planned: Mapping[str, float] | None = None,
    *,
    alpha: float = 0.01,
) -> SampleRatio:
    """Test whether the arms are as large as planned, overall and in each segment.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        One row per customer with arm, optionally segment.
    planned : mapping of str to float, optional
        Planned weight of each arm; by default the column planned_share, else equal weights.
    alpha : float
        Significance level. It is small because a mismatch is rare and makes the results unusable.

    Returns
    -------
    SampleRatio

    Raises
    ------
    ParameterError
        If an arm was not planned. (A planned arm without customers is a mismatch.)
    DataError
        If a share is not positive.

    Notes
    -----
    Source: Fabijan et al. (2019), "Diagnosing sample ratio mismatch", KDD.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a"] * 500 + ["b"] * 500})
    >>> check_sample_ratio(rows).level
    'good'
    """
    frame = frame_of(outcomes)
    by = "segment" if "segment" in frame.columns else None
    sums = sum_up(frame, [], segment=by)
    plan = dict(planned or _planned_shares(frame) or dict.fromkeys(sums.arms, 1.0))
    for arm in sums.arms:
        require_choice("arm", arm, plan)
    arms = [*sums.arms, *(arm for arm in plan if arm not in sums.arms)]
    shares = [plan[arm] for arm in arms]
    sizes = np.hstack([sums.n, np.zeros((len(sums.n), len(arms) - len(sums.arms)))])
    groups = [(ALL, sizes.sum(axis=0))]
    groups += list(zip(sums.segments, sizes, strict=True)) if by else []
    tests = [planned_split(counts, shares) for _, counts in groups]
    p_values = np.array([test.p_value for test in tests])
    adjusted = np.concatenate([p_values[:1], adjust(p_values[1:])])
    table = pl.DataFrame(
        {
            "segment": [name for name, _ in groups],
            "customers": [int(counts.sum()) for _, counts in groups],
            "chi_square": [test.statistic for test in tests],
            "p_value": p_values,
            "p_adjusted": adjusted,
            "as_planned": np.nan_to_num(adjusted, nan=1.0) > alpha,
            **{a: [int(c[j]) for _, c in groups] for j, a in enumerate(arms)},
        }
    )
    total = sum(plan.values())
    return SampleRatio(table, {arm: plan[arm] / total for arm in arms}, alpha)


def _planned_shares(frame: pl.DataFrame) -> dict[str, float]:
    if "planned_share" not in frame.columns:
        return {}
    return dict(frame.group_by("arm").agg(pl.col("planned_share").first()).sort("arm").iter_rows())


@dataclass(frozen=True, slots=True, eq=False)
class Balance(Result):
    """Balance of the arms before the campaign.

    Attributes
    ----------
    table : DataFrame
        One row per covariate and arm: covariate, arm, mean_arm, mean_control, standardised
        (difference in standard deviations), p_value (Welch), p_adjusted (Holm over all rows).
    control : str
    alpha : float
    """

    table: pl.DataFrame
    control: str
    alpha: float

    @property
    def text(self) -> str:
        """Finding: the largest difference before the campaign, and whether chance explains it."""
        size = self.table["standardised"].abs()
        most = self.table.row(int(size.fill_nan(0.0).arg_max() or 0), named=True)
        off = self.table.filter(pl.col("p_adjusted") <= self.alpha)
        covariate_label = label(most["covariate"])
        start = (
            f"Before the campaign the arms differ most in {covariate_label}: by "
            f"{number(abs(most['standardised']))} standard deviations ({most['arm']} against "
            f"{self.control})."
        )
        if off.is_empty():
            return f"{start} Chance explains that: the arms were alike."
        names = ", ".join(label(name) for name in off["covariate"].unique().sort())
        return (
            f"{start} Chance does not explain the difference in {names}: doubt that the arms "
            "were assigned at random."
        )

    def plot(self) -> Figure:
        """Draw the standardised differences."""
        from segkit.plot import bars

        named = {name: label(name) for name in self.table["covariate"]}
        data = self.table.with_columns(pl.col("covariate").replace(named))
        several = data["arm"].n_unique() > 1
        return bars(
            data,
            "covariate",
            "standardised",
            group="arm" if several else None,
            percent=False,
            reference=(-FAR, FAR),
            title=f"Differences from {self.control} before the campaign; {FAR} is worth a look",
            y_label="difference, standard deviations",
        )


@takes_frames
def check_balance(
    outcomes: Outcomes | pl.DataFrame,
    covariates: Sequence[str],
    *,
    control: str,
    alpha: float = 0.01,
) -> Balance:
    """Compare the arms' covariates before the campaign.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        One row per customer with arm and the covariates (numeric, known before the assignment).
    covariates : sequence of str
    control : str
    alpha : float
        Adjusted p-value below which a difference is not explained by chance.

    Returns
    -------
    Balance

    Raises
    ------
    ParameterError
        If the control is unknown.
    DataError
        If there is no covariate or only one arm, or a covariate is missing for somebody.

    Examples
    --------
    >>> rows = pl.DataFrame({"arm": ["a", "a", "b", "b"], "age": [30, 40, 31, 39]})
    >>> check_balance(rows, ["age"], control="b").table["standardised"].to_list()
    [0.0]
    """
    frame = frame_of(outcomes)
    if not covariates:
        raise DataError("a balance needs a covariate known before the assignment; none was given")
    require_columns(frame.columns, covariates, "the outcomes")
    sums = sum_up(frame, covariates, segment=None)
    require_choice("arm", control, sums.arms)
    if len(sums.arms) < 2:
        raise DataError(f"there is one arm only ({control!r}), so nothing to balance")
    base = sums.moments(None, sums.arms.index(control), covariates)
    rows = []
    for place, arm in enumerate(sums.arms):
        if arm == control:
            continue
        own = sums.moments(None, place, covariates)
        for k, name in enumerate(covariates):
            s1, s2 = np.sqrt(own.covariance[k, k]), np.sqrt(base.covariance[k, k])
            tested = mean_t_test(own.mean[k], s1, own.n, base.mean[k], s2, base.n)
            far = float(standardised_difference(own.mean[k], s1, base.mean[k], s2))
            rows.append((name, arm, float(own.mean[k]), float(base.mean[k]), far, tested.p_value))
    columns = ["covariate", "arm", "mean_arm", "mean_control", "standardised", "p_value"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    table = table.with_columns(p_adjusted=pl.Series(adjust(table["p_value"].to_numpy())))
    return Balance(table, control, alpha)
