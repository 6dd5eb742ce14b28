"""Assignments of customers to arms and offers, and tests of their balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import label, number
from segkit.intake.privacy import fold_rare
from segkit.result import Result
from segkit.stats.hypotheses import adjust

if TYPE_CHECKING:
    import numpy.typing as npt

    from segkit.plot import Figure

NO_OFFER = "none"
SRM_ALPHA = 0.001  # p-value below which the sample ratio counts as different from the plan
BALANCE_ALPHA = 0.01
SMALL_ARM = 30
_MISSING = "(missing)"
_MOST_LEVELS = 12
_BALANCE = {
    "covariate": pl.String,
    "level": pl.String,
    "arm": pl.String,
    "value": pl.Float64,
    "value_all": pl.Float64,
    "smd": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Assignment(Result):
    """A campaign's assignment, frozen, with its balance.

    Attributes
    ----------
    frame : polars.DataFrame
        The contract: customer_id, campaign_id, arm, offer ("none" for no contact), segment
        (frozen), assigned_at (UTC), and one column per factor; sorted by customer_id.
    counts : polars.DataFrame
        segment, arm, offer, customers.
    balance : polars.DataFrame
        One row per covariate (level) and arm: value (mean or share), value_all, smd (standardised
        difference of the arm from the rest), p_value, p_adjusted (Holm over all tests); the rows
        of covariate "sample ratio" (level: a segment or "all") hold share and expected share.
    shares : dict of str to float
        Arm to the share asked for.
    left_out : polars.DataFrame or None
        Number of customers who were not eligible, by reason.
    seed : int
    method : str
    factors : tuple of str
    stayed : int
        Customers who kept an arm assigned earlier.
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    balance: pl.DataFrame
    shares: dict[str, float]
    left_out: pl.DataFrame | None
    seed: int
    method: str
    factors: tuple[str, ...]
    stayed: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts by segment, arm and offer."""
        return self.counts

    @property
    def sizes(self) -> dict[str, int]:
        """Customers per arm."""
        counts = dict(self.frame.group_by("arm").len().iter_rows())
        return {arm: int(counts.get(arm, 0)) for arm in self.shares}

    @property
    def verdict(self) -> str:
        """The badge: "balanced", or "look" where ratio or covariates are off beyond chance."""
        tests = self.balance.unique(["covariate", "level"])
        ratio = tests.filter(pl.col("covariate") == "sample ratio")
        others = tests.filter(pl.col("covariate") != "sample ratio")
        broken = (ratio.get_column("p_adjusted") < SRM_ALPHA).any()
        apart = (others.get_column("p_adjusted") < BALANCE_ALPHA).any()
        return "look" if broken or apart else "balanced"

    @property
    def text(self) -> str:
        """The finding in words."""
        sizes = self.sizes
        arms = ", ".join(f"{arm} {number(n)}" for arm, n in sizes.items())
        segments = self.frame.get_column("segment").n_unique()
        how = "are said to be assigned" if self.method == "given" else "are assigned"
        first = f"{number(self.frame.height)} customers in {number(segments)} segments"
        parts = [f"{first} {how} at random: {arms}."]
        parts.append(self._balance_words())
        if self.stayed:
            parts.append(f"{number(self.stayed)} keep the arm that they had.")
        small = [arm for arm, n in sizes.items() if n < SMALL_ARM]
        if small:
            parts.append(
                f"Warning: {', '.join(small)} with fewer than {number(SMALL_ARM)} customers can "
                "show no effect of a usual size; intervals on it will not hold their level."
            )
        if self.method != "given":
            parts.append(
                "Segments are frozen as of the assignment; the same seed gives the same arms."
            )
        return " ".join(parts)

    def _balance_words(self) -> str:
        tested = self.balance.filter(
            pl.col("covariate") != "sample ratio", pl.col("smd").is_finite()
        )
        whole = self.balance.filter(
            (pl.col("covariate") == "sample ratio") & (pl.col("level") == "all")
        )
        p = whole.get_column("p_value")[0]
        first = f"Balance: {'fine' if self.verdict == 'balanced' else 'look into it'}"
        ratio = f"the sample ratio is what was asked for up to chance (p = {number(p)})"
        if p is not None and p < SRM_ALPHA:
            ratio = f"the sample ratio is NOT what was asked for (p = {number(p)})"
        if not tested.height:
            return f"{first}; {ratio}."
        widest = float(tested.get_column("smd").abs().max() or 0.0)  # type: ignore[arg-type]
        names = tested.get_column("covariate").n_unique()
        return (
            f"{first}; {ratio}; over {number(names)} covariates the largest standardised "
            f"difference is {number(widest)}."
        )

    def plot(self) -> Figure:
        """Draw the standardised differences of every covariate, arm by arm."""
        from segkit.plot import bars

        data = self.balance.filter(pl.col("covariate") != "sample ratio", pl.col("smd").is_finite())
        if not data.height:
            ratios = pl.col("covariate") == "sample ratio"
            data = self.balance.filter(ratios, pl.col("level") != "all").with_columns(
                smd=pl.col("value") - pl.col("value_all")
            )
            return bars(
                data, "level", "smd", group="arm", annotate=False, percent=True,
                title=f"Share of each arm less the share asked for ({self.verdict})",
                x_label="Segment", y_label="Difference, percentage points",
            )  # fmt: skip
        named = {name: label(name) for name in data["covariate"]}
        words = pl.col("covariate").replace(named)
        data = data.with_columns(
            what=pl.when(pl.col("level") == "")
            .then(words)
            .otherwise(pl.concat_str(words, pl.lit(": "), "level"))
        )
        return bars(
            data, "what", "smd", group="arm", annotate=False,
            title=f"Arms against one another before the campaign ({self.verdict})",
            x_label="Known before", y_label="Standardised difference from the other arms",
        )  # fmt: skip


def check_balance(
    frame: pl.DataFrame, shares: Mapping[str, float], covariates: Sequence[str]
) -> pl.DataFrame:
    """Return the balance table of an assignment: sample ratios, then every covariate.

    Parameters
    ----------
    frame : DataFrame
        arm, segment, and the covariates: numbers, Booleans or text (its commonest values; those of
        fewer than five customers are "other").
    shares : mapping of str to float
        Arm to expected share.
    covariates : sequence of str

    Notes
    -----
    Ratios: Pearson's chi-square, overall and within each segment; means: Welch's t of an arm
    against the rest; levels of a text: Pearson's chi-square on arm x level. Holm over all.
    """
    arms = frame.get_column("arm").to_numpy()
    names = list(shares)
    rows = _ratios(frame, shares)
    for name in covariates:
        column = frame.get_column(name)
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            values = column.cast(pl.Float64).to_numpy()
            rows += _means(name, values, arms, names)
        else:
            folded = fold_rare(column.cast(pl.String), most=_MOST_LEVELS - 1)
            rows += _levels(name, folded.fill_null(_MISSING), arms, names)
    table = pl.DataFrame(rows, schema=_BALANCE, orient="row")
    if not table.height:
        return table
    tests = table.unique(["covariate", "level", "p_value"], maintain_order=True)
    # Separate Holm families, so that the covariates do not weaken the tests of the sample ratio.
    tested = []
    for is_ratio in (True, False):
        part = tests.filter((pl.col("covariate") == "sample ratio") == is_ratio)
        adjusted = adjust(part.get_column("p_value").fill_null(float("nan")).to_numpy())
        tested.append(
            part.select("covariate", "level", "p_value").with_columns(
                p_adjusted=pl.Series(adjusted, dtype=pl.Float64).fill_nan(None)
            )
        )
    keys = ["covariate", "level", "p_value"]
    return table.drop("p_adjusted").join(
        pl.concat(tested), on=keys, how="left", nulls_equal=True, maintain_order="left"
    )


def _ratios(frame: pl.DataFrame, shares: Mapping[str, float]) -> list[tuple[object, ...]]:
    from scipy.special import chdtrc

    held = frame.group_by("segment", "arm").len()
    groups = [("all", held)]
    groups += [
        (str(name), held.filter(pl.col("segment") == name))
        for name in sorted(held.get_column("segment").unique().drop_nulls().to_list())
    ]
    expected = np.array(list(shares.values()))
    rows: list[tuple[object, ...]] = []
    for level, part in groups:
        sizes = dict(part.group_by("arm").agg(pl.sum("len")).iter_rows())
        counts = np.array([sizes.get(arm, 0) for arm in shares], dtype=np.float64)
        n = counts.sum()
        chi = float(((counts - n * expected) ** 2 / (n * expected)).sum())
        p = float(chdtrc(len(counts) - 1, chi))
        rows += [
            ("sample ratio", level, arm, count / n, share, None, p, None)
            for (arm, share), count in zip(shares.items(), counts, strict=True)
        ]
    return rows


def _means(
    name: str, values: npt.NDArray[np.float64], arms: npt.NDArray[np.object_], names: list[str]
) -> list[tuple[object, ...]]:
    from scipy.special import stdtr

    finite = np.isfinite(values)
    spread = float(values[finite].std()) if finite.any() else 0.0
    rows: list[tuple[object, ...]] = []
    for arm in names:
        mine, rest = values[finite & (arms == arm)], values[finite & (arms != arm)]
        if len(mine) < 2 or len(rest) < 2 or spread == 0:
            rows.append((name, "", arm, _mean(mine), _mean(values[finite]), None, None, None))
            continue
        gap = mine.mean() - rest.mean()
        parts = mine.var(ddof=1) / len(mine), rest.var(ddof=1) / len(rest)
        error = float(np.sqrt(sum(parts)))
        freedom = error**4 / (parts[0] ** 2 / (len(mine) - 1) + parts[1] ** 2 / (len(rest) - 1))
        p = 2 * float(stdtr(freedom, -abs(gap) / error)) if error > 0 else None
        rows.append((name, "", arm, _mean(mine), _mean(values[finite]), gap / spread, p, None))
    return rows


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _levels(
    name: str, column: pl.Series, arms: npt.NDArray[np.object_], names: list[str]
) -> list[tuple[object, ...]]:
    from scipy.special import chdtrc

    common = column.value_counts(sort=True).get_column(column.name).head(_MOST_LEVELS)
    levels = sorted(common.to_list())
    values = column.to_numpy()
    rows: list[tuple[object, ...]] = []
    for level in levels:
        is_level = values == level
        share = float(is_level.mean())
        counts = np.array([[is_level[arms == a].sum(), (arms == a).sum()] for a in names], float)
        hits, sizes = counts.T
        usable = sizes > 0
        spread = np.sqrt(share * (1 - share))
        p = None
        if spread > 0 and usable.sum() > 1:
            chi = float(((hits - sizes * share)[usable] ** 2 / (sizes[usable] * spread**2)).sum())
            p = float(chdtrc(usable.sum() - 1, chi))
        for i, arm in enumerate(names):
            mine = hits[i] / sizes[i] if sizes[i] else None
            others = sizes.sum() - sizes[i]
            smd = None
            if mine is not None and others and spread > 0:
                smd = (mine - (hits.sum() - hits[i]) / others) / spread
            rows.append((name, level, arm, mine, share, smd, p, None))
    return rows
