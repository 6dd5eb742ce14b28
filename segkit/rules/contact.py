"""Contact policy: universal holdout, consent, customers' preferences, quiet times and caps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import polars as pl

from segkit.errors import (
    ParameterError,
    require_choice,
    require_columns,
    require_least,
    require_range,
)
from segkit.frames import takes_frames
from segkit.stats.hashing import unit_hash

Channel = Literal["email", "sms", "phone", "post", "ads"]
Unrecorded = Literal["refused", "granted"]
# Name of each channel in sentences.
CHANNELS = {
    "email": "e-mail",
    "sms": "text message",
    "phone": "phone",
    "post": "post",
    "ads": "ads, by an upload to a platform",
}
ANY = "*"
#: Why a contact is held back, in the order in which the reasons are tried.
HELD = {
    "universal_holdout": "in the universal holdout",
    "no_consent": "without consent to the purpose",
    "no_channel_consent": "without consent to this channel",
    "consent_not_recorded": "whose consent is not recorded",
    "paused": "who asked for a pause",
    "other_channel": "who asked for another channel",
    "quiet_time": "in a quiet time",
    "contact_cap": "contacted as often as the policy allows",
}
#: What a customer may ask for -> the column that holds it.
PREFERENCES = {
    "frequency": "contact_frequency",
    "channel": "contact_channel",
    "pause": "contact_pause_until",
    "zone": "time_zone",
}
FREQUENCIES = ("usual", "fewer")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MOST_QUIET = 60  # quiet times that follow one another


@dataclass(frozen=True, slots=True)
class Cap:
    """Largest number of contacts within a number of days, over all campaigns.

    Attributes
    ----------
    most, days : int
        Contacts, the next one included, within this many days.
    channel : str
        One channel, or "*" for all channels together.
    """

    most: int
    days: int
    channel: str = ANY

    def __post_init__(self) -> None:
        require_choice("channel", self.channel, [*CHANNELS, ANY])
        for name, value in (("most", self.most), ("days", self.days)):
            if not isinstance(value, int) or value < 1:
                raise ParameterError(f"a cap's {name} must be 1 or more, got {value!r}")


@dataclass(frozen=True, slots=True)
class QuietTime:
    """Hours and days on which nobody is contacted, by the customer's clock.

    Attributes
    ----------
    start, end : datetime.time or None
        From, and up to; over midnight where the end is earlier. None for the whole day.
    weekdays : tuple of str
        Days on which it begins; every day if neither weekdays nor dates are given.
    dates : tuple of datetime.date
    channel : str
        One channel, or "*".
    """

    start: time | None = None
    end: time | None = None
    weekdays: tuple[str, ...] = ()
    dates: tuple[date, ...] = ()
    channel: str = ANY

    def __post_init__(self) -> None:
        require_choice("channel", self.channel, [*CHANNELS, ANY])
        for day in self.weekdays:
            require_choice("weekday", day, WEEKDAYS)
        if (self.start is None) != (self.end is None):
            raise ParameterError("a quiet time needs both from and to, or neither (whole days)")
        if self.start is None and not self.weekdays and not self.dates:
            raise ParameterError("a quiet time needs hours, weekdays or dates")

    def ends(self, moment: datetime) -> datetime | None:
        """Return when the quiet time that holds a (local) moment ends; None if none does."""
        for day in (moment.date(), moment.date() - timedelta(days=1)):
            if not self._on(day):
                continue
            start = datetime.combine(day, self.start or time(), moment.tzinfo)
            end = datetime.combine(day, self.end or time(), moment.tzinfo)
            if end <= start:
                end = datetime.combine(day + timedelta(days=1), self.end or time(), moment.tzinfo)
            if start <= moment < end:
                return end
        return None

    def _on(self, day: date) -> bool:
        if not self.weekdays and not self.dates:
            return True
        return WEEKDAYS[day.weekday()] in self.weekdays or day in self.dates


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """Rules on contacts that hold for all campaigns, lists and triggers alike.

    Attributes
    ----------
    caps : tuple of Cap
    quiet : tuple of QuietTime
    purposes : mapping of str to str
        Purpose to the column of its consent. An empty one marks service messages (an order's
        confirmation): they need no consent, are never held back and count towards no cap.
    unrecorded : {"refused", "granted"}
        What is assumed where consent is not recorded.
    fewer : float
        For customers who ask for fewer messages the caps' periods are this many times as long.
    zone : str
        Time zone of quiet times, for customers without one of their own.
    holdout_share : float
        Share of the customers who are never contacted, in no campaign: the universal holdout.
    holdout_seed : int
        Seed of that choice. A customer's membership depends only on the seed and the customer's id.
    preferences : mapping of str to str
        What customers ask for ("frequency", "channel", "pause", "zone") to its column: "fewer" or
        "usual"; channels separated by commas; the day until which they want no message; the name
        of a time zone.

    Examples
    --------
    >>> policy = ContactPolicy((Cap(1, 7, "email"),), (QuietTime(time(21), time(8)),))
    >>> agreed = {"customer_id": "a", "marketing_consent": True}
    >>> noon, night = datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 22, tzinfo=UTC)
    >>> policy.why_held(noon, "email", customer=agreed)
    >>> policy.why_held(night, "email", customer=agreed)
    'quiet_time'
    >>> policy.why_held(noon, "email", customer=agreed, earlier=[(noon - timedelta(2), "email")])
    'contact_cap'
    >>> policy.next_open(night, "email").hour
    8
    """

    caps: tuple[Cap, ...] = ()
    quiet: tuple[QuietTime, ...] = ()
    purposes: Mapping[str, str] = field(default_factory=lambda: {"marketing": "marketing_consent"})
    unrecorded: Unrecorded = "refused"
    fewer: float = 2.0
    zone: str = "UTC"
    holdout_share: float = 0.0
    holdout_seed: int = 0
    preferences: Mapping[str, str] = field(default_factory=lambda: dict(PREFERENCES))

    def __post_init__(self) -> None:
        require_choice("value of unrecorded", self.unrecorded, ("refused", "granted"))
        require_least(fewer=(self.fewer, 1))
        require_range("[0, 1)", holdout_share=self.holdout_share)
        for name in self.preferences:
            require_choice("preference", name, PREFERENCES)
        _zone(self.zone)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a policy from a TOML file.

        Raises
        ------
        ParameterError
            If there is no such file, a key is unknown, or a value is none that it can have.
        """
        source = Path(path)
        try:
            return cls.from_dict(tomllib.loads(source.read_text(encoding="utf-8")))
        except ParameterError as error:
            raise ParameterError(f"{source.name}: {error}") from None
        except FileNotFoundError:
            raise ParameterError(f"there is no contact policy {source}") from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ParameterError(f"{source.name} cannot be read: {error}") from None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the tables of a policy's file.

        Examples
        --------
        >>> ContactPolicy.from_dict({"cap": [{"most": 4, "days": 28, "channel": "email"}]}).caps
        (Cap(most=4, days=28, channel='email'),)
        """
        plain = ("unrecorded", "fewer", "zone")
        _check_keys(
            data, (*plain, "cap", "quiet", "purposes", "preferences", "holdout"), "the policy"
        )
        given: dict[str, Any] = {name: data[name] for name in plain if name in data}
        caps, quiet = [], []
        for entry in data.get("cap", ()):
            _check_keys(entry, ("most", "days", "channel"), "[[cap]]", ("most", "days"))
            caps.append(Cap(**entry))
        for entry in data.get("quiet", ()):
            _check_keys(entry, ("from", "to", "weekdays", "dates", "channel"), "[[quiet]]")
            start, end = (
                _read(time, entry[name], name) if name in entry else None for name in ("from", "to")
            )
            weekdays = tuple(str(day).lower() for day in entry.get("weekdays", ()))
            dates = tuple(_read(date, day, "dates") for day in entry.get("dates", ()))
            quiet.append(QuietTime(start, end, weekdays, dates, entry.get("channel", ANY)))
        held = data.get("holdout", {})
        _check_keys(held, ("share", "seed"), "[holdout]")
        if "purposes" in data:
            given["purposes"] = dict(data["purposes"])
        return cls(
            tuple(caps),
            tuple(quiet),
            preferences={**PREFERENCES, **data.get("preferences", {})},
            holdout_share=held.get("share", 0.0),
            holdout_seed=held.get("seed", 0),
            **given,
        )

    def consent_column(self, purpose: str) -> str:
        """Return the column of consent to a purpose; empty for service messages.

        Raises
        ------
        ParameterError
            If the policy names no such purpose.
        """
        require_choice("purpose", purpose, self.purposes)
        return self.purposes[purpose]

    def why_held(
        self,
        at: datetime | date,
        channel: str,
        *,
        purpose: str = "marketing",
        customer: Mapping[str, Any] | None = None,
        earlier: Iterable[tuple[datetime, str]] = (),
    ) -> str | None:
        """Return why one contact is held back: a key of `HELD`, or None if it may be made.

        The one decision that assignments, lists and triggers share; a trigger calls it for the
        customer at hand.

        Parameters
        ----------
        at : datetime or date
            When the contact would be made (UTC unless it says otherwise). For a date only quiet
            days count, no hours; caps count what was made up to the end of that day by the
            policy's clock, so that they hold at whichever hour.
        channel : str
            "email", "sms", "phone", "post" or "ads".
        purpose : str
        customer : mapping, optional
            customer_id, consents (`read_consent`) and preferences. A missing consent to the purpose
            counts as not recorded; the channel's own consent is checked only if it is present.
        earlier : iterable of (datetime, str)
            Times and channels of the contacts made before, of all campaigns, but for service
            messages.

        Raises
        ------
        ParameterError
            If a channel or the purpose is unknown, or a consent or preference cannot be read.
        """
        require_choice("channel", channel, CHANNELS)
        about = customer or {}
        consent = self.consent_column(purpose)
        if not consent:
            return None
        if self.holdout_share and about.get("customer_id") is not None:
            out = bool(self.in_holdout(pl.Series([str(about["customer_id"])]))[0])
            if out:
                return "universal_holdout"
        made = [(moment, _read_channel(by)) for moment, by in earlier]
        return self._refused(about, consent, channel) or self._held(at, channel, about, made)

    def _refused(self, about: Mapping[str, Any], consent: str, channel: str) -> str | None:
        own = f"{channel}_consent"
        names = [consent, *([own] if own in about else [])]
        answers = [read_consent(about.get(name), name) for name in names]
        for reason, answer in zip(("no_consent", "no_channel_consent"), answers, strict=False):
            if answer is False:
                return reason
        return "consent_not_recorded" if self.unrecorded == "refused" and None in answers else None

    def _held(
        self,
        at: datetime | date,
        channel: str,
        about: Mapping[str, Any],
        earlier: Sequence[tuple[datetime, str]],
    ) -> str | None:
        """Return why a customer who agreed is not contacted at this time, by this channel."""
        wish = {name: about.get(column) for name, column in self.preferences.items()}
        local = self._local(at, wish["zone"])
        if wish["pause"] is not None and local.date() < _read(date, wish["pause"], "a pause"):
            return "paused"
        wanted = {word.strip().lower() for word in str(wish["channel"] or "").split(",")} - {""}
        for word in wanted:
            require_choice("channel that a customer asks for", word, CHANNELS)
        if wanted and channel not in wanted:
            return "other_channel"
        if self._quiet_until(local, channel, hours=isinstance(at, datetime)) is not None:
            return "quiet_time"
        often = str(wish["frequency"] or "usual")
        require_choice("frequency that a customer asks for", often, FREQUENCIES)
        stretch = self.fewer if often == "fewer" else 1.0
        until = local
        if not isinstance(at, datetime):  # the contact may be made in the day's last moment
            until = self._local(at + timedelta(days=1), None) - timedelta(microseconds=1)
        for cap in self.caps:
            if cap.channel not in (ANY, channel):
                continue
            since = local - timedelta(days=cap.days * stretch)
            made = sum(
                since < _aware(moment) <= until and cap.channel in (ANY, by)
                for moment, by in earlier
            )
            if made >= cap.most:
                return "contact_cap"
        return None

    def next_open(self, at: datetime, channel: str, *, zone: str | None = None) -> datetime | None:
        """Return the first moment from ``at`` on that lies in no quiet time.

        None if quiet times follow one another without end.
        """
        local = self._local(at, zone)
        for _ in range(_MOST_QUIET):
            until = self._quiet_until(local, channel, hours=True)
            if until is None:
                return local.astimezone(_aware(at).tzinfo)
            local = until
        return None

    @takes_frames
    def in_holdout(self, ids: pl.Series) -> pl.Series:
        """Return which customers are in the universal holdout, by their id alone."""
        draws = unit_hash(ids.cast(pl.String), self.holdout_seed, "universal holdout")
        return pl.Series(ids.name, draws < self.holdout_share, dtype=pl.Boolean)

    @takes_frames
    def hold_back(
        self,
        customers: pl.DataFrame,
        *,
        at: datetime | date,
        channel: str = "email",
        purpose: str = "marketing",
        contacts: pl.DataFrame | None = None,
        consent: bool = True,
    ) -> pl.Series:
        """Return for each customer why it is not contacted now: `why_held`, row by row.

        Parameters
        ----------
        customers : DataFrame
            customer_id, consents, and preferences where there are any; one row per customer.
        at, channel, purpose
            As for `why_held`.
        contacts : DataFrame, optional
            customer_id, event_time: contacts of all campaigns; channel ("email" if there is no
            such column) and purpose where known. What comes after ``at`` does not count; of a
            date, what comes after the day.
        consent : bool
            False where consent is judged elsewhere, such as by the caller's own columns.

        Returns
        -------
        Series of String
            A key of `HELD`, null for those who may be contacted; rows as in ``customers``.

        Raises
        ------
        ColumnError
            If the column of consent, or one of the contacts', is missing.
        ParameterError
            As for `why_held`.
        """
        require_choice("channel", channel, CHANNELS)
        column = self.consent_column(purpose)
        ids = customers["customer_id"].cast(pl.String)
        if not column:
            return pl.Series("reason", [None] * len(ids), dtype=pl.String)
        if consent:
            require_columns(customers.columns, ["customer_id", column], "customers")
        wanted = [column, f"{channel}_consent"] if consent else []
        wanted += self.preferences.values()
        rows = customers.select(name for name in dict.fromkeys(wanted) if name in customers.columns)
        if consent:
            agreed = [name for name in (column, f"{channel}_consent") if name in rows.columns]
            rows = rows.with_columns(read_consents(rows, agreed))
        made = self._contacts(contacts, ids, at)
        values = rows.iter_rows() if rows.width else (() for _ in ids)
        # Without contacts, customers with the same answers are alike.
        reason_of: dict[tuple[Any, ...], str | None] = {}
        reasons = []
        for one, out, row in zip(ids, self.in_holdout(ids), values, strict=True):
            if row not in reason_of:
                about = dict(zip(rows.columns, row, strict=True))
                refused = self._refused(about, column, channel) if consent else None
                reason_of[row] = refused or self._held(at, channel, about, ())
            reason = "universal_holdout" if out else reason_of[row]
            if reason is None and one in made:
                about = dict(zip(rows.columns, row, strict=True))
                reason = self._held(at, channel, about, made[one])
            reasons.append(reason)
        return pl.Series("reason", reasons, dtype=pl.String)

    def _contacts(
        self, contacts: pl.DataFrame | None, ids: pl.Series, at: datetime | date
    ) -> dict[str, list[tuple[datetime, str]]]:
        """Return the contacts of each customer that may count towards a cap."""
        if contacts is None or not self.caps:
            return {}
        require_columns(contacts.columns, ["customer_id", "event_time"], "contacts")
        if "purpose" in contacts.columns:
            service = [name for name, column in self.purposes.items() if not column]
            contacts = contacts.filter(~pl.col("purpose").is_in(service).fill_null(value=False))
        by = read_channels(contacts["channel"]) if "channel" in contacts.columns else None
        longest = timedelta(days=max(cap.days for cap in self.caps) * self.fewer + 2)
        moment = pl.col("event_time").cast(pl.Datetime("us", "UTC"))
        own = contacts.select(
            pl.col("customer_id").cast(pl.String),
            moment,
            by=pl.lit("email") if by is None else by.fill_null("email"),
        ).filter(
            pl.col("customer_id").is_in(ids.implode()),
            pl.col("event_time") > self._local(at, None).astimezone(UTC) - longest,
        )
        made: dict[str, list[tuple[datetime, str]]] = {}
        for one, when, channel in own.iter_rows():
            made.setdefault(one, []).append((when, channel))
        return made

    def _local(self, at: datetime | date, zone: Any) -> datetime:
        where = _zone(str(zone or self.zone))
        if not isinstance(at, datetime):  # a day, wherever the customer is
            return datetime.combine(at, time(), where)
        return _aware(at).astimezone(where)

    def _quiet_until(self, local: datetime, channel: str, *, hours: bool) -> datetime | None:
        ends = [
            one.ends(local)
            for one in self.quiet
            if one.channel in (ANY, channel) and (hours or one.start is None)
        ]
        return max((end for end in ends if end is not None), default=None)


def read_consent(value: Any, column: str) -> bool | None:
    """Read one consent: true, false, or None where it is not recorded; 0 and 1 are numbers of both.

    Raises
    ------
    ParameterError
        If the value is anything else: what a word means is said in the mapping, not guessed.

    Examples
    --------
    >>> read_consent(True, "marketing_consent"), read_consent(0, "marketing_consent")
    (True, False)
    """
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_, Real)) and value in (0, 1):
        return bool(value)
    raise ParameterError(
        f"{column}: a consent is true, false or missing (or 1 and 0), got {value!r}"
    )


@takes_frames
def read_consents(customers: pl.DataFrame, columns: Sequence[str]) -> list[pl.Series]:
    """Read columns of consent as Boolean, as `read_consent` does."""
    return [
        customers[name]
        if customers[name].dtype == pl.Boolean
        else pl.Series(name, [read_consent(one, name) for one in customers[name]], pl.Boolean)
        for name in columns
    ]


@takes_frames
def read_channels(given: pl.Series) -> pl.Series:
    """Read channels in any case, with spaces around them; null where there is none.

    Raises
    ------
    ParameterError
        If one is unknown.
    """
    names = given.cast(pl.String).unique().drop_nulls()
    read = {name: _read_channel(name) if name.strip() else None for name in names}
    return given.cast(pl.String).replace_strict(read, return_dtype=pl.String)


def _read_channel(name: str) -> str:
    read = str(name).strip().lower()
    require_choice("channel of a contact", read, CHANNELS)
    return read


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ParameterError(f"unknown time zone {name!r}; expected one as Europe/Paris") from None


def _read(kind: type[time] | type[date], value: Any, what: str) -> Any:
    """Read a time or day that is one already, or ISO text."""
    if isinstance(value, kind) and not isinstance(value, datetime):
        return value
    if isinstance(value, datetime) and kind is date:
        return value.date()
    try:
        return kind.fromisoformat(str(value).strip())
    except ValueError:
        example = "21:00" if kind is time else "2026-12-24"
        raise ParameterError(
            f"{what}: expected a {kind.__name__} as {example}, got {value!r}"
        ) from None


def _check_keys(data: Any, names: Sequence[str], where: str, needed: Sequence[str] = ()) -> None:
    if not isinstance(data, Mapping):
        raise ParameterError(f"{where} is a table of keys, got {data!r}")
    for key in data:
        require_choice(f"key of {where}", key, names)
    missing = [name for name in needed if name not in data]
    if missing:
        raise ParameterError(f"{where} needs {', '.join(missing)}")
