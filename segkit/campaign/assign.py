"""Randomised assignment by hash to arms, factors and offers, and tests of its balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.eligibility import Eligibility, as_moment, check_customers
from segkit.campaign.power import check_shares
from segkit.display import counted, label, number
from segkit.errors import DataError, ParameterError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.intake.privacy import fold_rare
from segkit.result import Figure, Result
from segkit.stats.hashing import unit_hash
from segkit.stats.hypotheses import adjust, count_table, mean_t_test, planned_split

if TYPE_CHECKING:
    import numpy.typing as npt

NO_OFFER = "none"
SRM_ALPHA = 0.001  # p-value below which the sample ratio counts as different from the plan
BALANCE_ALPHA = 0.01
SMALL_ARM = 30
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
        if self.stayed:
            parts.append(f"{number(self.stayed)} keep the arm that they had.")
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
            y_label="Standardised difference from the other arms",
        )


def build_assignment(
    people: pl.DataFrame,
    shares: Mapping[str, float],
    *,
    covariates: Sequence[str],
    method: str,
    seed: int = 0,
    factors: Sequence[str] = (),
    stayed: int = 0,
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
        stayed,
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


Method = Literal["hash", "quota"]
METHODS: tuple[Method, ...] = get_args(Method)
BY_CUSTOMER = "by_customer"


@takes_frames
def assign_arms(
    customers: pl.DataFrame,
    *,
    campaign_id: str,
    arms: Mapping[str, float],
    at: datetime | date,
    offers: Mapping[str, str] | None = None,
    seed: int = 0,
    segment: str | None = "segment",
    offer: str = "offer",
    method: Method = "hash",
    eligibility: Eligibility | None = None,
    earlier: pl.DataFrame | None = None,
    covariates: Sequence[str] = (),
) -> Assignment:
    """Assign customers to arms at random, repeatably, within every segment.

    Parameters
    ----------
    customers : DataFrame
        customer_id, the segment, further columns; one row per customer.
    campaign_id : str
        Part of the hash's key: each campaign assigns customers independently of the others.
    arms : mapping of str to float
        Arm to share; they sum to 1.
    at : datetime or date
        When the arms are drawn (UTC): segments are frozen as of it.
    offers : mapping of str to str, optional
        Arm to offer: a name, ``"none"`` (a holdout), or `BY_CUSTOMER` for what the customer's
        column ``offer`` says (the offer of the segment); ``"by_customer:persona_offer"`` for what
        another column says. By default an arm's offer is its name,
        "none" for an arm called "holdout" or "control".
    seed : int
    segment : str or None
        Column to stratify by and to freeze; None if there is none.
    offer : str
        Column read for `BY_CUSTOMER`.
    method : {"hash", "quota"}
        "hash": the arm depends only on seed, campaign and id, so that a customer keeps it when
        other customers are added or removed; shares are exact only on average. "quota": the
        customers of a segment are ranked by their hash and split at the exact shares. New customers
        may then change others' arms, so that ``earlier`` should be given.
    eligibility : Eligibility, optional
        Only those who may be contacted are assigned, holdout included.
    earlier : DataFrame, optional
        customer_id, arm: earlier assignments of this campaign, which are kept.
    covariates : sequence of str
        Columns known before, shown in the balance table.

    Returns
    -------
    Assignment

    Raises
    ------
    ParameterError
        If shares do not sum to 1, there is one arm only, or a label is unknown.
    DataError
        If a customer comes twice, has no segment, or nobody is left to assign.

    Notes
    -----
    With ``method="hash"`` each customer is drawn independently, so that the shares within a segment
    vary by chance. Analyses stratify by the frozen segment.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "segment": ["S1"] * 4})
    >>> made = assign_arms(people, campaign_id="spring", arms={"holdout": 0.5, "mail": 0.5},
    ...               at=date(2025, 3, 1), method="quota")
    >>> sorted(made.frame["arm"].to_list())
    ['holdout', 'holdout', 'mail', 'mail']
    """
    shares = check_shares(arms)
    given = _offers(shares, offers)
    people, strata = _to_assign(customers, segment, eligibility, method)
    draws = unit_hash(people.get_column("customer_id"), seed, campaign_id, "arm")
    chosen = np.array(list(shares), dtype=object)[pick(draws, shares, strata)]
    arm, stayed = _keep_earlier(people, chosen, shares, earlier)
    people = people.with_columns(pl.Series("arm", arm, dtype=pl.String))
    sent = pl.col("arm").replace_strict(given, return_dtype=pl.String)
    for name, offered in given.items():
        if offered == BY_CUSTOMER or offered.startswith(f"{BY_CUSTOMER}:"):
            column = offered.partition(":")[2] or offer
            require_columns(people.columns, [column], "customers")
            own = pl.col(column).fill_null(NO_OFFER)
            sent = pl.when(pl.col("arm") == name).then(own).otherwise(sent)
    people = people.with_columns(offer=sent)
    return build_assignment(
        _freeze(people, campaign_id, at, segment),
        shares,
        covariates=covariates,
        method=method,
        seed=seed,
        stayed=stayed,
        left_out=None if eligibility is None else eligibility.counts,
    )


@takes_frames
def assign_factors(
    customers: pl.DataFrame,
    *,
    campaign_id: str,
    factors: Mapping[str, Sequence[str] | Mapping[str, float]],
    at: datetime | date,
    seed: int = 0,
    segment: str | None = "segment",
    holdout: float = 0.0,
    offer: str = "",
    method: Method = "hash",
    eligibility: Eligibility | None = None,
    covariates: Sequence[str] = (),
) -> Assignment:
    """Assign customers at random to the levels of each factor (a multivariate test).

    Every factor is drawn by a hash of its own, independently of the others, so that all
    combinations occur in proportion to the product of the shares.

    Parameters
    ----------
    customers, campaign_id, at, seed, segment, method, eligibility, covariates
        As in `assign_arms`.
    factors : mapping
        Factor to its levels (equal shares), or to a mapping of level to share.
    holdout : float
        Share of customers who are not contacted.
    offer : str
        Offer that is sent; by default the names of the levels joined, which are also the arm's
        name.

    Returns
    -------
    Assignment
        Its frame has one further column per factor (null for the holdout).

    Raises
    ------
    ParameterError
        As in `assign_arms`; if a factor has one level only, or the name of a contract's column.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": [f"c{i}" for i in range(40)], "segment": ["S1"] * 40})
    >>> made = assign_factors(people, campaign_id="mv", at=date(2025, 3, 1), method="quota",
    ...     factors={"subject": ["plain", "question"], "saving": ["none", "ten"]})
    >>> made.counts["customers"].sum(), made.factors
    (40, ('subject', 'saving'))
    """
    require_range("[0, 1)", holdout=holdout)
    if not factors:
        raise ParameterError("a factorial design needs at least one factor")
    levels = {name: _factor_levels(name, value) for name, value in factors.items()}
    clash = set(levels) & set(CONTRACT)
    if clash:
        raise ParameterError(f"a factor cannot be called {', '.join(sorted(clash))}")
    people, strata = _to_assign(customers, segment, eligibility, method)
    ids = people.get_column("customer_id")
    held_out = np.zeros(people.height, dtype=bool)
    if holdout:
        parts = {"holdout": holdout, "rest": 1 - holdout}
        held_out = pick(unit_hash(ids, seed, campaign_id, "holdout"), parts, strata) == 0
    if strata is not None:  # exact shares among the contacted customers too
        strata = strata * 2 + held_out
    for name, shares in levels.items():
        chosen = pick(unit_hash(ids, seed, campaign_id, "factor", name), shares, strata)
        drawn = np.array(list(shares), dtype=object)[chosen]
        drawn[held_out] = None
        people = people.with_columns(pl.Series(name, drawn, dtype=pl.String))
        if strata is not None:  # exact also within the combinations of earlier factors
            strata = strata * len(shares) + chosen
    joined = pl.concat_str(list(levels), separator=" + ")  # null for the holdout
    sent = pl.lit(offer) if offer else joined
    people = people.with_columns(
        arm=joined.fill_null("holdout"),
        offer=pl.when(joined.is_not_null()).then(sent).otherwise(pl.lit(NO_OFFER)),
    )
    every = {"holdout": holdout} if holdout else {}
    for combination in product(*(shares.items() for shares in levels.values())):
        share = float(np.prod([part for _, part in combination])) * (1 - holdout)
        every[" + ".join(level for level, _ in combination)] = share
    return build_assignment(
        _freeze(people, campaign_id, at, segment),
        every,
        covariates=covariates,
        method=method,
        seed=seed,
        factors=tuple(levels),
        left_out=None if eligibility is None else eligibility.counts,
    )


def pick(
    draws: npt.NDArray[np.float64],
    shares: Mapping[str, float],
    strata: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    """Turn numbers in [0, 1) into the index of an arm; with strata, exactly by rank within each.

    In a stratum of n customers the limits are ``floor(n x cumulative share + u)``, with one random
    ``u`` per stratum, so that rounding favours no arm.
    """
    edges = np.cumsum(list(shares.values()))
    edges[-1] = np.inf
    if strata is None:
        return np.asarray(np.searchsorted(edges, draws, side="right"), dtype=np.int64)
    order = np.lexsort((draws, strata))
    chosen = np.empty(len(draws), dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, np.diff(strata[order]) != 0])
    for first, last in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        rows = order[first:last]
        size = last - first
        shift = float(np.modf(draws[rows].sum() * 997.0)[0])
        cuts = np.floor(np.r_[edges[:-1] * size, np.inf] + shift)
        chosen[rows] = np.searchsorted(cuts, np.arange(size), side="right")
    return chosen


def _factor_levels(name: str, value: Sequence[str] | Mapping[str, float]) -> dict[str, float]:
    shares = dict(value) if isinstance(value, Mapping) else {v: 1 / len(value) for v in value}
    try:
        return check_shares(shares)
    except ParameterError as error:
        raise ParameterError(f"factor {name!r}: {error}") from None


def _to_assign(
    customers: pl.DataFrame, segment: str | None, eligibility: Eligibility | None, method: str
) -> tuple[pl.DataFrame, npt.NDArray[np.int64] | None]:
    """Return those to assign, sorted by id, and for quotas the code of each one's stratum."""
    require_choice("method", method, METHODS)
    check_customers(customers)
    people = customers.with_columns(pl.col("customer_id").cast(pl.String)).sort("customer_id")
    if eligibility is not None:
        ids = eligibility.customer_ids.to_frame()
        people = people.join(ids, on="customer_id", how="semi", maintain_order="left")
    if not people.height:
        raise DataError("nobody is left to assign: no customer may be contacted")
    codes = np.zeros(people.height, dtype=np.int64)
    if segment is not None:
        require_columns(people.columns, [segment], "customers")
        lost = people.get_column(segment).null_count()
        if lost:
            raise DataError(
                f"{counted(lost, 'customer has', 'customers have')} no {segment}; leave them out "
                f"(check_eligibility(..., segment={segment!r}) does and counts them) or give them "
                "one"
            )
        ranks = people.get_column(segment).cast(pl.String).rank("dense")
        codes = ranks.cast(pl.Int64).to_numpy()
    return people, codes if method == "quota" else None


def _offers(shares: Mapping[str, float], offers: Mapping[str, str] | None) -> dict[str, str]:
    usual = {arm: NO_OFFER if arm.lower() in ("holdout", "control") else arm for arm in shares}
    given = {**usual, **(offers or {})}
    for arm in given:
        require_choice("arm", arm, shares)
    return given


def _keep_earlier(
    people: pl.DataFrame,
    arm: npt.NDArray[np.object_],
    shares: Mapping[str, float],
    earlier: pl.DataFrame | None,
) -> tuple[npt.NDArray[np.object_], int]:
    if earlier is None:
        return arm, 0
    require_columns(earlier.columns, ["customer_id", "arm"], "earlier assignments")
    check_customers(earlier)
    for name in earlier.get_column("arm").drop_nulls().unique().sort():
        require_choice("arm among the earlier assignments", str(name), shares)
    before = earlier.select("customer_id", before="arm")
    ids = people.select("customer_id")
    joined = ids.join(before, on="customer_id", how="left", maintain_order="left")
    old = joined.get_column("before")
    fixed = old.is_not_null().to_numpy()
    return np.where(fixed, old.to_numpy(), arm), int(fixed.sum())


def _freeze(
    people: pl.DataFrame, campaign_id: str, at: datetime | date, segment: str | None
) -> pl.DataFrame:
    """Add the campaign, the moment, and the segment as of it."""
    return people.with_columns(
        campaign_id=pl.lit(campaign_id),
        segment=pl.col(segment).cast(pl.String) if segment else pl.lit("all"),
        assigned_at=pl.lit(as_moment(at)).cast(pl.Datetime("us", "UTC")),
    )


@takes_frames
def read_assignment(
    frame: pl.DataFrame,
    *,
    shares: Mapping[str, float],
    segment: str = "segment",
    covariates: Sequence[str] = (),
) -> Assignment:
    """Read an assignment made elsewhere, and test its sample ratio and balance.

    Parameters
    ----------
    frame : DataFrame
        customer_id, campaign_id, arm, offer, the segment as of the assignment, the covariates;
        assigned_at where it is known.
    shares : mapping of str to float
        Planned share of each arm.
    segment : str
    covariates : sequence of str

    Returns
    -------
    Assignment

    Raises
    ------
    ColumnError, DataError, ParameterError
        As in `assign_arms`; an arm without a share is unknown.

    Examples
    --------
    >>> given = pl.DataFrame({"customer_id": ["a", "b"], "campaign_id": ["c", "c"],
    ...     "arm": ["mail", "none"], "offer": ["mail", "none"], "segment": ["S", "S"]})
    >>> read_assignment(given, shares={"none": 0.5, "mail": 0.5}).verdict
    'balanced'
    """
    planned = check_shares(shares)
    check_customers(frame)
    need = ["campaign_id", "arm", "offer", segment, *covariates]
    require_columns(frame.columns, need, "the assignments")
    for name in frame.get_column("arm").unique().sort().to_list():
        require_choice("arm", str(name), planned)
    people = frame.sort("customer_id").with_columns(segment=pl.col(segment).cast(pl.String))
    if "assigned_at" not in people.columns:
        people = people.with_columns(assigned_at=pl.lit(None).cast(pl.Datetime("us", "UTC")))
    return build_assignment(people, planned, covariates=covariates, method="given")
