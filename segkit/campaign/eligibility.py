"""Consent by purpose and channel, opt-outs, contact caps and gaps, with each refusal counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

import polars as pl

from segkit.display import number, percent
from segkit.errors import ColumnError, DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.ids import unmatched
from segkit.result import Result

Channel = Literal["email", "sms", "phone", "post", "ads"]
# Name of each channel in sentences.
CHANNELS = {
    "email": "e-mail",
    "sms": "text message",
    "phone": "phone",
    "post": "post",
    "ads": "ads, by an upload to a platform",
}
Unrecorded = Literal["refused", "granted"]
UNRECORDED: tuple[Unrecorded, ...] = get_args(Unrecorded)


@dataclass(frozen=True, slots=True)
class Consent:
    """Recorded consent to one purpose by one channel.

    Attributes
    ----------
    purpose, channel : str
        The purpose's column or None; the channel.
    unrecorded : {"refused", "granted"}
        What is assumed where consent is not recorded.
    purpose_column, channel_column : str or None
        Columns that record it; None where the source has none.
    """

    channel: str
    unrecorded: str
    purpose_column: str | None
    channel_column: str | None

    @classmethod
    def of(
        cls, columns: list[str], *, consent: str | None, channel: str, unrecorded: str
    ) -> Consent:
        """Find the columns that record consent: the purpose's, and ``<channel>_consent``."""
        named = f"{channel}_consent"
        return cls(channel, unrecorded, consent, named if named in columns else None)

    @property
    def columns(self) -> list[str]:
        """The columns that record it."""
        return [name for name in (self.purpose_column, self.channel_column) if name is not None]

    def reasons(self) -> dict[str, pl.Expr]:
        """Return the reason why each customer may not be listed.

        A refusal of the purpose or of the channel always counts. If neither is refused, but not
        every consent column is true, consent is not recorded.
        """
        reasons: dict[str, pl.Expr] = {}
        if self.purpose_column is not None:
            reasons["no_consent"] = ~pl.col(self.purpose_column).fill_null(value=True)
        if self.channel_column is not None:
            reasons["no_channel_consent"] = ~pl.col(self.channel_column).fill_null(value=True)
        if self.unrecorded == "refused":
            reasons["consent_not_recorded"] = self.silent()
        return reasons

    def silent(self) -> pl.Expr:
        """Return whether each customer's consent is neither refused nor recorded."""
        if not self.columns:
            return pl.lit(value=True)
        refused = pl.any_horizontal(~pl.col(name).fill_null(value=True) for name in self.columns)
        blank = pl.any_horizontal(pl.col(name).is_null() for name in self.columns)
        return blank & ~refused

    def tell(self, silent: int, customers: int) -> str:
        """Write how many customers lack recorded consent, and how they are treated."""
        subject = f"Consent to marketing by {CHANNELS[self.channel]}"
        if not silent:
            return f"{subject} is recorded for all {number(customers)} customers."
        other = UNRECORDED[self.unrecorded == "refused"]
        where = "" if self.columns else " (the source has no column for it)"
        return (
            f"{subject} is not recorded for {number(silent)} of {number(customers)} customers"
            f"{where}; it is taken as {self.unrecorded}. To change it: [customers] "
            f'consent_default = "{other}" in the mapping, or unrecorded="{other}" in the call.'
        )


REASONS = {
    "no_consent": "no consent to marketing",
    "consent_unknown": "consent not recorded",
    "opted_out": "opted out since",
    "no_segment": "in no segment",
    "too_recent": "contacted too recently",
    "too_many": "contacted too often",
}
_HISTORY: dict[str, Any] = {
    "customer_id": pl.String,
    "event_time": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Eligibility(Result):
    """Customers who may be contacted, and the others by reason.

    Attributes
    ----------
    frame : polars.DataFrame
        customer_id, reason (a key of `REASONS`; null for those who may be contacted), sorted.
    counts : polars.DataFrame
        reason, description, customers, customer_share: each customer counts under the first reason
        that applies.
    rules : dict of str to str
        The rules as they were set, in words.
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    rules: dict[str, str]

    @property
    def customer_ids(self) -> pl.Series:
        """The ids of those who may be contacted, sorted."""
        return self.frame.filter(pl.col("reason").is_null()).get_column("customer_id")

    def to_frame(self) -> pl.DataFrame:
        """Return the counts by reason."""
        return self.counts

    @property
    def text(self) -> str:
        """The finding in words."""
        free = len(self.customer_ids)
        share = free / self.frame.height if self.frame.height else 0.0
        sentence = (
            f"{number(free)} of {number(self.frame.height)} customers ({percent(share)}) may be "
        )
        sentence += "contacted."
        out = self.counts.filter(pl.col("reason").is_not_null() & (pl.col("customers") > 0))
        if out.height:
            parts = [
                f"{number(row['customers'])} {row['description']}"
                for row in out.iter_rows(named=True)
            ]
            sentence += f" Left out: {'; '.join(parts)}."
        sentence += " A customer is counted under the first reason that holds."
        lists = self.rules.get("opt-outs", "")
        return f"{sentence} {lists[0].upper()}{lists[1:]}." if lists else sentence


@takes_frames
def check_eligibility(
    customers: pl.DataFrame,
    *,
    at: datetime | date,
    contacts: pl.DataFrame | None = None,
    optouts: pl.DataFrame | None = None,
    consent: str | None = "marketing_consent",
    segment: str | None = None,
    max_contacts: int | None = None,
    within_days: int = 30,
    min_gap_days: int = 0,
) -> Eligibility:
    """Check which customers may be contacted at a given time.

    Parameters
    ----------
    customers : DataFrame
        customer_id, the consent column, and the segment's where asked for; one row per customer.
    at : datetime or date
        The moment of assignment (UTC; a date stands for its first moment). Contacts and opt-outs at
        or after it are ignored.
    contacts, optouts : DataFrame, optional
        customer_id, event_time: e-mails sent; unsubscriptions and complaints.
    consent : str or None
        Boolean column; only customers with true are eligible. None is for sources that record no
        consent (their lists are then on the user's own responsibility, which the rules say).
    segment : str, optional
        Column that must not be missing.
    max_contacts, within_days : int
        Largest number of contacts, including this one, within this number of days before ``at``.
    min_gap_days : int
        Days that must lie between the last contact and ``at``.

    Returns
    -------
    Eligibility

    Raises
    ------
    ColumnError
        If a column is missing; the consent column above all.
    DataError
        If there are no customers, or one comes twice.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b"], "marketing_consent": [True, False]})
    >>> check_eligibility(people, at=date(2025, 3, 1)).customer_ids.to_list()
    ['a']
    """
    check_customers(customers)
    if max_contacts is not None and max_contacts < 1:
        raise ParameterError(f"max_contacts must be at least 1, got {max_contacts}")
    if within_days < 1 or min_gap_days < 0:
        raise ParameterError("within_days must be at least 1 and min_gap_days at least 0")
    moment = as_moment(at)
    columns = customers.columns
    if consent is not None and consent not in columns:
        raise ColumnError(
            f"customers lacks the consent column {consent!r}; it has {', '.join(columns)}. Nobody "
            "is contacted on a guess: name the column, or set consent=None if consent is "
            "ascertained elsewhere"
        )
    if segment is not None:
        require_columns(columns, [segment], "customers")
    history = _history(customers.select("customer_id"), contacts, optouts, moment, within_days)
    reasons = {
        "no_consent": ~pl.col(consent) if consent else pl.lit(value=False),
        "consent_unknown": pl.col(consent).is_null() if consent else pl.lit(value=False),
        "opted_out": pl.col("opted_out"),
        "no_segment": pl.col(segment).is_null() if segment else pl.lit(value=False),
        "too_recent": pl.col("last_contact") > moment - timedelta(days=min_gap_days),
        "too_many": pl.col("contacts") >= (max_contacts if max_contacts is not None else 2**31),
    }
    keep = ["customer_id", *dict.fromkeys(c for c in (consent, segment) if c is not None)]
    branches = [
        pl.when(condition.fill_null(value=False)).then(pl.lit(name)).otherwise(None)
        for name, condition in reasons.items()
    ]
    frame = (
        customers.select(keep)
        .join(history, on="customer_id", how="left")
        .select("customer_id", reason=pl.coalesce(branches))
        .sort("customer_id")
    )
    rules = {
        "consent": f"{consent} is true" if consent else "not checked here",
        "contacts": "no cap"
        if max_contacts is None
        else f"at most {max_contacts} in {within_days} days, this one included",
        "gap": f"at least {min_gap_days} days since the last contact",
    }
    if optouts is not None:
        named = customers.get_column("customer_id")
        note = unmatched(optouts.get_column("customer_id"), named, "the opt-outs", "the customers")
        if note:
            rules["opt-outs"] = note
    return Eligibility(frame, _counts(frame), rules)


def check_customers(customers: pl.DataFrame) -> None:
    """Raise unless there is one row per customer, with an id."""
    require_columns(customers.columns, ["customer_id"], "customers")
    ids = customers.get_column("customer_id")
    if not len(ids):
        raise DataError("expected customers, got no rows")
    if ids.null_count():
        raise DataError(f"{number(ids.null_count())} customers have no customer_id")
    twice = ids.filter(ids.is_duplicated()).n_unique()
    if twice:
        raise DataError(
            f"{number(twice)} customers come more than once; give one row per customer (link the "
            "identifiers first)"
        )


def as_moment(at: datetime | date) -> datetime:
    """Return a time in UTC: a date's first moment; a time without a zone is taken as UTC."""
    if not isinstance(at, date):  # a datetime is also a date
        raise ParameterError(f"at: expected a date or a time, got {at!r}")
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _history(
    ids: pl.DataFrame,
    contacts: pl.DataFrame | None,
    optouts: pl.DataFrame | None,
    moment: datetime,
    within_days: int,
) -> pl.DataFrame:
    history = ids
    for name, frame in (("contacts", contacts), ("optouts", optouts)):
        if frame is None:
            frame = pl.DataFrame(schema=_HISTORY)
        require_columns(frame.columns, ["customer_id", "event_time"], name)
        past = frame.select("customer_id", "event_time").filter(pl.col("event_time") < moment)
        since = pl.col("event_time") >= moment - timedelta(days=within_days)
        found = {
            "contacts": [since.sum().alias("contacts"), pl.max("event_time").alias("last_contact")],
            "optouts": [pl.lit(value=True).alias("opted_out")],
        }[name]
        history = history.join(
            past.group_by("customer_id").agg(found), on="customer_id", how="left"
        )
    return history


def _counts(frame: pl.DataFrame) -> pl.DataFrame:
    held: Mapping[str | None, int] = dict(frame.group_by("reason").len().iter_rows())
    rows = [(None, "may be contacted", held.get(None, 0))]
    rows += [(name, words, held.get(name, 0)) for name, words in REASONS.items()]  # type: ignore[misc]
    schema = {"reason": pl.String, "description": pl.String, "customers": pl.Int64}
    counts = pl.DataFrame(rows, schema=schema, orient="row")
    return counts.with_columns(customer_share=pl.col("customers") / frame.height)
