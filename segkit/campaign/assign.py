"""Randomised assignment by hash: arms with a control, factors, offers by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import product
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.campaign.assignment import CONTRACT, NO_OFFER, Assignment, build_assignment
from segkit.campaign.eligibility import Eligibility, as_moment, check_customers
from segkit.campaign.power import check_shares
from segkit.display import counted
from segkit.errors import DataError, ParameterError, require_choice, require_columns, require_range
from segkit.frames import takes_frames
from segkit.stats.hashing import unit_hash

if TYPE_CHECKING:
    import numpy.typing as npt


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
    method: Method = "hash",
    eligibility: Eligibility | None = None,
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
        Time of the assignment (UTC), as of which segments are frozen.
    offers : mapping of str to str, optional
        Arm to offer: a name; ``"none"`` for no contact (the control); `BY_CUSTOMER` for the offer
        in the customer's column ``offer``, such as that of its segment; or
        ``"by_customer:persona_offer"`` for the offer in another column. By default an arm's offer
        is its name, and "none" for an arm called "holdout" or "control".
    seed : int
    segment : str or None
        Column to stratify by and to freeze; None if there is none.
    method : {"hash", "quota"}
        "hash": the arm depends only on seed, campaign and id, so that a customer keeps it when
        other customers are added or removed; shares are exact only on average. "quota": the
        customers of a segment are ranked by their hash and split at the exact shares. New customers
        may then change others' arms.
    eligibility : Eligibility, optional
        Only customers who may be contacted are assigned, to the control too.
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
    people = people.with_columns(pl.Series("arm", chosen, dtype=pl.String))
    sent = pl.col("arm").replace_strict(given, return_dtype=pl.String)
    for name, offered in given.items():
        if offered == BY_CUSTOMER or offered.startswith(f"{BY_CUSTOMER}:"):
            column = offered.partition(":")[2] or "offer"
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
    people = people.with_columns(
        arm=joined.fill_null("holdout"),
        offer=pl.when(joined.is_not_null()).then(joined).otherwise(pl.lit(NO_OFFER)),
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
