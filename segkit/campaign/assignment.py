"""Assignments of customers to arms and offers, and tests of their balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, label, number
from segkit.errors import require_columns
from segkit.intake.privacy import fold_rare
from segkit.result import Figure, Result
from segkit.stats.hypotheses import adjust, count_table, mean_t_test, planned_split

if TYPE_CHECKING:
    import numpy.typing as npt

NO_OFFER = "none"
SRM_ALPHA = 0.001  # p-value below which the sample ratio counts as different from the plan
BALANCE_ALPHA = 0.01
SMALL_ARM = 30
BALANCED = 0.1  # largest standardised difference of arms that count as alike
_MISSING = "(missing)"
_MOST_LEVELS = 12
_BALANCE = {
    **dict.fromkeys(("covariate", "level", "arm"), pl.String),
    **dict.fromkeys(("value", "value_all", "smd", "p_value"), pl.Float64),
}
Row = tuple[str, str, str, float | None, float | None, float | None, float | None]
Floats = npt.NDArray[np.float64]
RATIO = pl.col("covariate") == "sample ratio"
CONTRACT = ("customer_id", "campaign_id", "arm", "offer", "segment", "assigned_at")


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
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    balance: pl.DataFrame
    shares: dict[str, float]
    left_out: pl.DataFrame | None
    seed: int
    method: str
    factors: tuple[str, ...]

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
        """Verdict: "balanced", or "look" if chance does not explain ratio or covariates."""
        broken = self.balance.filter(RATIO, pl.col("p_adjusted") < SRM_ALPHA)
        apart = self.balance.filter(~RATIO, pl.col("p_adjusted") < BALANCE_ALPHA)
        return "look" if broken.height or apart.height else "balanced"

    @property
    def text(self) -> str:
        """The finding in words."""
        arms = ", ".join(f"{arm} {number(n)}" for arm, n in self.sizes.items())
        segments = self.frame.get_column("segment").n_unique()
        how = "are said to be assigned" if self.method == "given" else "are assigned"
        customers = f"{counted(self.frame.height, 'customer')} in {counted(segments, 'segment')}"
        parts = [f"{customers} {how} at random: {arms}.", self._balance_words()]
        small = [arm for arm, n in self.sizes.items() if n < SMALL_ARM]
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
        tested = self.balance.filter(~RATIO, pl.col("smd").is_finite())
        p = self.balance.filter(RATIO, level="all").get_column("p_value")[0]
        planned = (
            "NOT what was asked for"
            if p is not None and p < SRM_ALPHA
            else ("what was asked for up to chance")
        )
        badge = "fine" if self.verdict == "balanced" else "look into it"
        first = f"Balance: {badge}; the sample ratio is {planned} (p = {number(p)})"
        if not tested.height:
            return f"{first}."
        widest = float(tested.get_column("smd").abs().max() or 0.0)  # type: ignore[arg-type]
        names = number(tested.get_column("covariate").n_unique())
        return (
            f"{first}; over {names} covariates the largest standardised difference is "
            f"{number(widest)}."
        )

    def plot(self) -> Figure:
        """Draw the standardised differences of every covariate, arm by arm."""
        from segkit.plot import bars

        data = self.balance.filter(~RATIO, pl.col("smd").is_finite())
        if not data.height:
            ratios = self.balance.filter(RATIO, pl.col("level") != "all")
            return bars(
                ratios.with_columns(smd=pl.col("value") - pl.col("value_all")),
                "level",
                "smd",
                group="arm",
                annotate=False,
                percent=True,
                title=f"Share of each arm less the share asked for ({self.verdict})",
                x_label="Segment",
                y_label="Difference, percentage points",
            )
        words = pl.col("covariate").replace({name: label(name) for name in data["covariate"]})
        level = (
            pl.when(pl.col("level") != "").then(pl.format(": {}", "level")).otherwise(pl.lit(""))
        )
        return bars(
            data.with_columns(what=words + level),
            "what",
            "smd",
            group="arm",
            annotate=False,
            title=f"Arms against one another before the campaign ({self.verdict})",
            x_label="Known before",
            reference=(-BALANCED, BALANCED),
            y_label=f"Standardised difference from the other arms (dashed: ±{BALANCED:g})",
        )


def build_assignment(
    people: pl.DataFrame,
    shares: Mapping[str, float],
    *,
    covariates: Sequence[str],
    method: str,
    seed: int = 0,
    factors: Sequence[str] = (),
    left_out: pl.DataFrame | None = None,
) -> Assignment:
    """Build an assignment from customers with the columns of `CONTRACT` and the covariates."""
    require_columns(people.columns, covariates, "customers")
    names = list(dict.fromkeys(covariates))
    contract = people.select(*CONTRACT, *factors)
    balance = check_balance(people.select("arm", "segment", *names), shares, names)
    return Assignment(
        contract,
        count_cells(contract),
        balance,
        dict(shares),
        left_out,
        seed,
        method,
        tuple(factors),
    )


def count_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Count customers by segment, arm and offer."""
    keys = ["segment", "arm", "offer"]
    return frame.group_by(keys).agg(customers=pl.len().cast(pl.Int64)).sort(keys)


def name_segments(frame: pl.DataFrame, segment: str, name: str | None) -> dict[str, str]:
    """Return each segment's name by its id; the id where it has no name."""
    pairs = frame.select(
        id=pl.col(segment).cast(pl.String), name=pl.col(name or segment).cast(pl.String)
    )
    named = pairs.drop_nulls("id").unique("id", keep="first", maintain_order=True)
    return {one: other or one for one, other in named.iter_rows()}


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
    arms, names = frame.get_column("arm").to_numpy(), list(shares)
    rows: list[Row] = []
    for name in covariates:
        column = frame.get_column(name)
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            rows += _means(name, column.cast(pl.Float64).to_numpy(), arms, names)
        else:
            folded = fold_rare(column.cast(pl.String), most=_MOST_LEVELS - 1)
            rows += _levels(name, folded.fill_null(_MISSING), arms, names)
    # Separate Holm families, so that the covariates do not weaken the tests of the sample ratio.
    return pl.concat([_adjusted(_ratios(frame, shares)), _adjusted(rows)])


def _adjusted(rows: list[Row]) -> pl.DataFrame:
    """Turn one family of tests into a table with adjusted p-values."""
    table = pl.DataFrame(rows, schema=_BALANCE, orient="row")
    keys = ["covariate", "level", "p_value"]
    tests = table.select(keys).unique(maintain_order=True)
    adjusted = adjust(tests.get_column("p_value").fill_null(float("nan")).to_numpy())
    tests = tests.with_columns(p_adjusted=pl.Series(adjusted, dtype=pl.Float64).fill_nan(None))
    return table.join(tests, on=keys, how="left", nulls_equal=True, maintain_order="left")


def _ratios(frame: pl.DataFrame, shares: Mapping[str, float]) -> list[Row]:
    segments = frame.get_column("segment").unique().drop_nulls().sort().to_list()
    groups = [("all", frame), *((str(s), frame.filter(segment=s)) for s in segments)]
    rows: list[Row] = []
    for level, part in groups:
        sizes = dict(part.group_by("arm").len().iter_rows())
        counts = {arm: sizes.get(arm, 0) for arm in shares}
        n = sum(counts.values())
        p = planned_split(list(counts.values()), list(shares.values())).p_value if n else None
        rows += [
            ("sample ratio", level, arm, count / n if n else None, shares[arm], None, p)
            for arm, count in counts.items()
        ]
    return rows


def _means(name: str, values: Floats, arms: npt.NDArray[np.object_], names: list[str]) -> list[Row]:
    finite = np.isfinite(values)
    whole = float(values[finite].mean()) if finite.any() else None
    spread = float(values[finite].std()) if finite.any() else 0.0
    rows: list[Row] = []
    for arm in names:
        groups = values[finite & (arms == arm)], values[finite & (arms != arm)]
        mean = float(groups[0].mean()) if len(groups[0]) else None
        smd = p = None
        if min(map(len, groups)) > 1 and spread > 0:
            (m, s, n), rest = ((g.mean(), g.std(ddof=1), len(g)) for g in groups)
            smd = float(m - rest[0]) / spread
            p = mean_t_test(m, s, n, *rest).p_value
        rows.append((name, "", arm, mean, whole, smd, None if p is None or np.isnan(p) else p))
    return rows


def _levels(
    name: str, column: pl.Series, arms: npt.NDArray[np.object_], names: list[str]
) -> list[Row]:
    common = column.value_counts(sort=True).get_column(column.name).head(_MOST_LEVELS)
    values = column.to_numpy()
    sizes = np.array([(arms == arm).sum() for arm in names], dtype=np.float64)
    rows: list[Row] = []
    for level in sorted(common.to_list()):
        hits = np.array([((arms == arm) & (values == level)).sum() for arm in names], float)
        whole = float((values == level).mean())
        spread = np.sqrt(whole * (1 - whole))
        test = count_table(np.column_stack([hits, sizes - hits]))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = hits / sizes
            smd = (share - (hits.sum() - hits) / (sizes.sum() - sizes)) / spread
        for i, arm in enumerate(names):
            cells = [None if not np.isfinite(v) else float(v) for v in (share[i], smd[i])]
            p = None if np.isnan(test.p_value) else test.p_value
            rows.append((name, level, arm, cells[0], whole, cells[1], p))
    return rows
