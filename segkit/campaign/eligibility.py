"""Consent by purpose and channel, opt-outs, contact caps and gaps, with each refusal counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import polars as pl

from segkit.display import counted, number, percent
from segkit.errors import ColumnError, DataError, ParameterError, require_columns, require_range
from segkit.frames import takes_frames
from segkit.ids import require_unique, unmatched
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.spellings import require_met, spell_list
from segkit.result import Result
from segkit.rules.contact import CHANNELS as CHANNELS
from segkit.rules.contact import HELD, ContactPolicy, read_consents
from segkit.rules.contact import Channel as Channel
from segkit.rules.contact import Unrecorded as Unrecorded

UNRECORDED: tuple[Unrecorded, ...] = get_args(Unrecorded)


@dataclass(frozen=True, slots=True)
class Consent:
    """Recorded consent to one purpose by one channel.

    Attributes
    ----------
    channel : str
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
        cls, columns: Sequence[str], *, consent: str | None, channel: str, unrecorded: str
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

    def describe(self, silent: int, customers: int, *, by_policy: bool = False) -> str:
        """Write how many customers lack recorded consent, and how they are treated."""
        subject = f"Consent to marketing by {CHANNELS[self.channel]}"
        if not silent:
            return f"{subject} is recorded for all {counted(customers, 'customer')}."
        other = UNRECORDED[self.unrecorded == "refused"]
        change = f'[customers] consent_default = "{other}" in the mapping'
        if by_policy:
            change = f'unrecorded = "{other}" in the contact policy'
        where = "" if self.columns else " (the source has no column for it)"
        return (
            f"{subject} is not recorded for {number(silent)} of {counted(customers, 'customer')}"
            f"{where}; it is taken as {self.unrecorded}. To change it: {change}, or "
            f'unrecorded="{other}" in the call.'
        )


REASONS = {
    "no_consent": "no consent to marketing",
    "consent_unknown": "consent not recorded",
    "opted_out": "opted out since",
    "no_segment": "in no segment",
    "too_recent": "contacted too recently",
    "too_many": "contacted too often",
}
_BY_POLICY = ("no_consent", "consent_unknown")
_HISTORY: dict[str, Any] = {"customer_id": pl.String, "event_time": pl.Datetime("us", "UTC")}


@dataclass(frozen=True, slots=True, eq=False)
class Eligibility(Result):
    """Customers who may be contacted, and the others by reason.

    Attributes
    ----------
    frame : polars.DataFrame
        customer_id, reason (a key of `REASONS` or, with a policy, of `segkit.rules.contact.HELD`;
        null for those who may be contacted), sorted.
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
        free, customers = len(self.customer_ids), self.frame.height
        share = percent(free / customers if customers else 0.0)
        lists = self.rules.get("opt-outs", "")
        sentences = (
            f"{number(free)} of {counted(customers, 'customer')} ({share}) may be contacted.",
            name_left_out(self.counts),
            "A customer is counted under the first reason that holds.",
            f"{lists[0].upper()}{lists[1:]}." if lists else "",
        )
        return " ".join(sentence for sentence in sentences if sentence)


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
    policy: ContactPolicy | None = None,
    channel: Channel = "email",
    purpose: str = "marketing",
    mapping: ColumnMapping | None = None,
) -> Eligibility:
    """Check which customers may be contacted at a given time.

    Parameters
    ----------
    customers : DataFrame
        customer_id, the consent column, and the segment's where asked for; one row per customer.
    at : datetime or date
        The moment of assignment (UTC; a date stands for its first moment). Contacts and opt-outs at
        or after it are ignored, but a policy's caps count the contacts of a whole day.
    contacts, optouts : DataFrame, optional
        customer_id, event_time: e-mails sent; unsubscriptions and complaints.
    consent : str or None
        Column of true and false (or 1 and 0); only customers with true are eligible. None is for
        sources that record no consent (their lists are then on the user's own responsibility,
        which the rules say).
    segment : str, optional
        Column that must not be missing.
    max_contacts, within_days : int
        Largest number of contacts, including this one, within this number of days before ``at``.
    min_gap_days : int
        Days that must lie between the last contact and ``at``.
    policy : ContactPolicy, optional
        Rules that hold for every campaign; its consent columns then take the place of ``consent``,
        and ``contacts`` may have a channel and a purpose. It is applied before the other rules.
    channel, purpose : str
        Of the contact, for the policy.
    mapping : Mapping, optional
        The data's (`segkit.clean_data`), by which ids of contacts and opt-outs are written.

    Returns
    -------
    Eligibility

    Raises
    ------
    ColumnError
        If a column is missing; the consent column above all.
    DataError
        If there are no customers, or one comes twice; without ``mapping`` also if opt-outs would
        meet customers but for the spelling of their ids.
    ParameterError
        If a consent is neither true nor false, or a limit is out of its range.

    Examples
    --------
    >>> people = pl.DataFrame({"customer_id": ["a", "b"], "marketing_consent": [True, False]})
    >>> check_eligibility(people, at=date(2025, 3, 1)).customer_ids.to_list()
    ['a']
    """
    check_customers(customers)
    require_range("[1, inf)", max_contacts=max_contacts, within_days=within_days)
    require_range("[0, inf)", min_gap_days=min_gap_days)
    consent = consent if policy is None else policy.consent_column(purpose) or None
    require_consent(customers.columns, consent)
    require_columns(customers.columns, [segment] if segment else [], "customers")
    customers = customers.with_columns(read_consents(customers, [consent] if consent else []))
    moment = as_moment(at)
    spelled: list[str] = []
    optouts = spell_frame(optouts, mapping, "the opt-outs", spelled)
    contacts = spell_frame(contacts, mapping, "the contacts", spelled)
    opted_out = _recorded_before(optouts, "optouts", moment).get_column("customer_id").unique()
    recent = pl.col("event_time") >= moment - timedelta(days=within_days)
    mailed = (
        _recorded_before(contacts, "contacts", moment)
        .group_by("customer_id")
        .agg(contacts=recent.sum(), last_contact=pl.max("event_time"))
    )
    never = pl.lit(value=False)
    if policy is None:
        reasons = {
            "no_consent": ~pl.col(consent) if consent else never,
            "consent_unknown": pl.col(consent).is_null() if consent else never,
        }
        descriptions = REASONS
    else:
        reasons_held = policy.hold_back(
            customers, at=at, channel=channel, purpose=purpose, contacts=contacts
        )
        customers = customers.with_columns(_held=reasons_held)
        reasons = {name: pl.col("_held") == name for name in HELD}
        descriptions = HELD | {k: v for k, v in REASONS.items() if k not in _BY_POLICY}
    reasons |= {
        "opted_out": pl.col("customer_id").is_in(opted_out.implode()),
        "no_segment": pl.col(segment).is_null() if segment else never,
        "too_recent": pl.col("last_contact") > moment - timedelta(days=min_gap_days),
        "too_many": never if max_contacts is None else pl.col("contacts") >= max_contacts,
    }
    named = ("customer_id", consent, segment, "_held" if policy is not None else None)
    columns = dict.fromkeys(name for name in named if name)
    frame = (
        customers.select(*columns)
        .join(mailed, on="customer_id", how="left")
        .select("customer_id", reason=first_reason(reasons))
        .sort("customer_id")
    )
    rules = {
        "consent": f"{consent} is true" if consent else "not checked here",
        "contacts": "no cap"
        if max_contacts is None
        else f"at most {max_contacts} in {counted(within_days, 'day')}, this one included",
        "gap": f"at least {counted(min_gap_days, 'day')} since the last contact",
    }
    if policy is not None:
        rules |= {"policy": f"contacts by {CHANNELS[channel]} for {purpose}"}
    if optouts is not None:
        ids, gone = customers.get_column("customer_id"), optouts.get_column("customer_id")
        if mapping is None:
            require_met(gone, ids, "the opt-outs")
        note = unmatched(gone, ids, "the opt-outs", "the customers")
        rules |= {"opt-outs": note} if note else {}
    rules |= {"spelling": " ".join(spelled)} if spelled else {}
    counts = count_reasons(frame.get_column("reason"), "may be contacted", descriptions)
    return Eligibility(frame, counts, rules)


def spell_frame(
    frame: pl.DataFrame | None, mapping: ColumnMapping | None, what: str, notes: list[str]
) -> pl.DataFrame | None:
    """Write the customer ids of a later list, if it has any, as the data's are written."""
    if frame is None or "customer_id" not in frame.columns:
        return frame
    return frame.with_columns(spell_list(frame["customer_id"], mapping, what, notes))


def check_customers(customers: pl.DataFrame) -> None:
    """Raise unless there is one row per customer, with an id."""
    require_columns(customers.columns, ["customer_id"], "customers")
    ids = customers.get_column("customer_id")
    if not len(ids):
        raise DataError("expected customers, got no rows")
    if ids.null_count():
        raise DataError(
            f"{counted(ids.null_count(), 'customer has', 'customers have')} no customer_id"
        )
    require_unique(customers, "customers")


def as_moment(at: datetime | date) -> datetime:
    """Return a time in UTC: a date's first moment; a time without a zone is taken as UTC."""
    if not isinstance(at, date):  # a datetime is also a date
        raise ParameterError(f"at: expected a date or a time, got {at!r}")
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _recorded_before(frame: pl.DataFrame | None, name: str, moment: datetime) -> pl.DataFrame:
    """Return the events before a moment: customer_id, event_time; none without a frame."""
    if frame is None:
        return pl.DataFrame(schema=_HISTORY)
    require_columns(frame.columns, _HISTORY, name)
    return frame.select(list(_HISTORY)).filter(pl.col("event_time") < moment)


def require_consent(columns: Sequence[str], consent: str | None) -> None:
    """Raise ``ColumnError`` if the column of consent is named and absent."""
    if consent is not None and consent not in columns:
        raise ColumnError(
            f"customers lacks the consent column {consent!r}; it has {', '.join(columns)}. Name "
            "the column, or set consent=None if consent is checked elsewhere"
        )


def first_reason(reasons: Mapping[str, pl.Expr]) -> pl.Expr:
    """Return the name of the first condition that holds for a row; null if none does."""
    return pl.coalesce(
        [
            pl.when(condition.fill_null(value=False)).then(pl.lit(name))
            for name, condition in reasons.items()
        ]
    )


def count_reasons(reasons: pl.Series, free: str, descriptions: Mapping[str, str]) -> pl.DataFrame:
    """Count customers by reason: reason (null first), description, customers, customer_share.

    Examples
    --------
    >>> given = pl.Series([None, None, "opted_out"])
    >>> count_reasons(given, "on the list", {"opted_out": "opted out"})["customers"].to_list()
    [2, 1]
    """
    counts = dict(reasons.value_counts().iter_rows())
    named = [(None, free), *descriptions.items()]
    rows = [(name, text, counts.get(name, 0)) for name, text in named]
    schema = {"reason": pl.String, "description": pl.String, "customers": pl.Int64}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.with_columns(customer_share=pl.col("customers") / max(1, len(reasons)))


def name_left_out(counts: pl.DataFrame) -> str:
    """Write how many customers are left out for which reason; empty if none is."""
    out = counts.filter(pl.col("reason").is_not_null() & (pl.col("customers") > 0))
    reasons = [f"{number(n)} {text}" for text, n in out.select("description", "customers").rows()]
    return f"Left out: {'; '.join(reasons)}." if reasons else ""
