"""Lists of customers for CRM and ad platforms, each with the contract of its segments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, Self

import polars as pl

from segkit.campaign import eligibility, platforms
from segkit.campaign.assignment import NO_OFFER
from segkit.campaign.eligibility import Channel, Consent, Unrecorded
from segkit.campaign.list_changes import (
    KINDS,
    ListKind,
    compare_lists,
    find_files,
    name_list,
    read_lists,
)
from segkit.campaign.platforms import MAIL_TOOLS, PLATFORMS, MailTool, PlatformName
from segkit.display import counted, number, percent, sentences
from segkit.errors import (
    ColumnError,
    ModelError,
    ParameterError,
    require_choice,
    require_columns,
    require_least,
)
from segkit.frames import takes_frames
from segkit.ids import require_unique, unmatched
from segkit.intake.mapping import Mapping as ColumnMapping
from segkit.intake.people import erased_ids
from segkit.intake.spellings import require_met, spell_list
from segkit.result import Result
from segkit.rules.contact import HELD, ContactPolicy, read_channels, read_consents
from segkit.writing import Format, check_format, private_folder, write_frame, write_whole


@dataclass(frozen=True, slots=True)
class SegmentContract:
    """Definition of the segments on a list: model, centres or limits, offers, consent.

    Attributes
    ----------
    campaign_id : str
    as_of : str
        ISO date up to which the segments look.
    model_version, model_hash, method : str
        Version of segkit that made the model, hash of its data (SHA-256), and its method.
    definitions : dict of str to str
        Segment id to what it means in words.
    cut_points : dict of str to dict of str to float
        Definition of each segment: for clusters the centre in original units (a customer belongs to
        the nearest), for rules their limits.
    features : dict of str to str
        Column to its definition.
    offers : dict of str to str
        Segment id to the offer that the policy gives it, or the rules' text under "rules".
    consent : str
        What the lists assume for customers whose consent is not recorded; set when they are
        written.
    emptied : tuple of str
        Lists already in the folder whose customers have all left; they are written empty. Set when
        the lists are written.
    """

    campaign_id: str
    as_of: str
    model_version: str
    model_hash: str
    method: str
    definitions: dict[str, str]
    cut_points: dict[str, dict[str, float]] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    consent: str = ""
    emptied: tuple[str, ...] = ()

    @classmethod
    def of_model(
        cls, campaign_id: str, model: Mapping[str, Any], *, offers: Mapping[str, str] | None = None
    ) -> Self:
        """Take the contract from a stored segment model (notebook 05's ``segment_model``).

        Raises
        ------
        ModelError
            If the data hold no segments.
        """
        segments = model.get("segments")
        if not segments:
            raise ModelError("the segment model holds no segments: no contract can be drawn up")
        nearest = f"nearest to its centre among {counted(len(segments), 'segment')}"
        keys = ("as_of", "segkit_version", "data_hash", "method")
        as_of, version, digest, method = (str(model.get(key) or "") for key in keys)
        centres = {str(one["id"]): one.get("centre") or {} for one in segments}
        return cls(
            campaign_id,
            as_of,
            version,
            digest,
            method,
            definitions={str(one["id"]): f"{one['name']}: {nearest}" for one in segments},
            cut_points={
                name: {str(column): float(value) for column, value in centre.items()}
                for name, centre in centres.items()
            },
            features={
                str(one["name"]): str(one.get("definition") or one["name"])
                for one in model.get("features") or ()
            },
            offers=dict(offers or {}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return asdict(self)

    def save(self, path: Path) -> Path:
        """Write the contract as JSON."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        return write_whole(path, text, private=True)


# Channels that need an e-mail address, and those that need a phone number.
ADDRESSES = {"email": ["email"], "sms": ["phone"], "phone": ["phone"]}  # columns by channel
REASONS = {
    "no_contact": "held out, or without an offer",
    "erased": "erased at their request",
    "not_a_customer": "without a customer record",
    **HELD,
    "no_consent": "without consent to marketing",
    "opted_out": "opted out",
    "address_refused": "sharing an address or phone number with somebody who refused or opted out",
    "no_email": "without an e-mail address",
    "bad_email": "with an e-mail address that is none",
    "formula_email": "with an e-mail address that a spreadsheet would run as a formula",
    "no_phone": "without a phone number",
    "bad_phone": "with a phone number that cannot be read",
    "same_email": "sharing an address with another customer on the lists",
    "small_cell": "in a cell too small to be handed out",
}
_BY_POLICY = set(HELD) - {"no_consent", "no_channel_consent", "consent_not_recorded"}
_NO_IDENTIFIERS = pl.DataFrame(schema=platforms.REJECTS)


@dataclass(frozen=True, slots=True, eq=False)
class Audience(Result):
    """Lists ready for export, one per offer, with the customers left out by reason.

    Attributes
    ----------
    frame : polars.DataFrame
        All lists together: customer_id, offer, segment, further columns asked for ("crm"); or the
        platform's columns with offer and segment ("upload").
    counts : polars.DataFrame
        reason (null for those listed), description, customers, customer_share.
    cells : polars.DataFrame
        segment, offer, customers listed.
    contract : SegmentContract
    kind : str
    min_cell : int
        Smallest number of customers that a combination on the list may have.
    platform : str
        Platform whose format the identifiers follow.
    channel : str
        Channel by which the customers are contacted.
    consent : str
        How many customers had no consent recorded, what was assumed, and how to change it.
    identifiers : polars.DataFrame
        Identifiers that could not be read: identifier, reason, description, customers.
    notes : tuple of str
        Further points to check, such as opt-outs that match nobody.
    """

    frame: pl.DataFrame
    counts: pl.DataFrame
    cells: pl.DataFrame
    contract: SegmentContract
    kind: str
    min_cell: int
    platform: str
    channel: str = "email"
    consent: str = ""
    identifiers: pl.DataFrame = field(default_factory=lambda: _NO_IDENTIFIERS)
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pl.DataFrame:
        """Return the counts by reason: no customer's data."""
        return self.counts

    @property
    def text(self) -> str:
        """The finding in words."""
        customers, listed = int(self.counts["customers"].sum()), self.frame.height
        share = percent(listed / max(1, customers))
        lists = counted(self.frame["offer"].n_unique(), "list")
        unread = "; ".join(
            f"{number(customers)} {name.replace('_', ' ')}: {why}"
            for name, _, why, customers in self.identifiers.iter_rows()
        )
        return sentences(
            f"{number(listed)} of {counted(customers, 'assigned customer')} ({share}) are on "
            f"{lists}.",
            eligibility.name_left_out(self.counts),
            self.consent,
            f"Identifiers that could not be read: {unread}." if unread else "",
            *self.notes,
            f"No cell of fewer than {counted(self.min_cell, 'customer')} is handed out.",
            "Who is left out after the assignment stays in its arm for the analysis.",
        )

    def write(
        self,
        folder: Path | str,
        *,
        formats: Sequence[Format] = ("csv",),
        since: Path | str | None = None,
    ) -> tuple[Path, ...]:
        """Write one file per offer and format, the counts and the contract; return the paths.

        An upload's files hold the platform's columns alone, under its headers. The contract holds
        what was assumed of customers whose consent is not recorded.

        Parameters
        ----------
        folder : path
            Created if it does not exist, with access for its owner only. Files of the same name are
            replaced and are readable only by their owner. If the folder already holds lists of this
            campaign and kind, a list without customers is written empty and named in the contract,
            and files in other formats or with earlier changes are deleted, so that no customer who
            withdrew stays in a file. Use one folder per campaign.
        formats : sequence of {"csv", "xlsx", "parquet"}
            In CSV and XLSX formulas are made harmless (`segkit.spreadsheets.defuse`).
        since : path, optional
            Folder of the previous lists (CSV or Parquet). For each list, also of those that no
            longer exist, two more files hold the customers who are new on it (``…-added``) and
            those who left it (``…-removed``); see `segkit.campaign.list_changes.list_changes`.

        Raises
        ------
        ParameterError
            If a format is unknown, ``since`` is the folder that is written to, or the names of two
            offers differ only in capitals.
        SourceError
            If ``since`` holds no lists of this kind and platform.
        """
        for kind in formats:
            check_format(kind)
        place, campaign = Path(folder), self.contract.campaign_id
        if since is not None and Path(since).resolve() == place.resolve():
            raise ParameterError(
                f"{place.name} holds the last lists, which would be lost; write to another folder"
            )
        earlier = {} if since is None else read_lists(Path(since), self.kind)
        if not place.is_dir():
            private_folder(place)
        frame = self.frame.drop("offer", "segment") if self.kind == "upload" else self.frame
        offers = self.frame["offer"].unique().sort().to_list()
        lists = {
            name_list(campaign, offer, self.kind): frame.filter(self.frame["offer"] == offer)
            for offer in offers
        }
        if len({stem.casefold() for stem in lists}) < len(offers):
            raise ParameterError(
                "the names of two offers differ in capitals alone, and their lists would be one "
                f"file: {', '.join(lists)}"
            )
        emptied = sorted({path.stem for path in find_files(place, campaign, self.kind)} - {*lists})
        lists |= {stem: frame.clear() for stem in emptied}
        if since is not None:
            lists |= compare_lists(lists, earlier, campaign, self.kind)
        written = [
            write_frame(handed, place / f"{stem}.{kind}", private=True, quote_text=True)
            for stem, handed in lists.items()
            for kind in formats
        ]
        for change in ("", "-added", "-removed"):
            for path in {*find_files(place, campaign, self.kind, change)} - {*written}:
                path.unlink()
        terms = replace(self.contract, consent=self.consent, emptied=tuple(emptied))
        return (
            *written,
            write_frame(self.counts, place / "left_out.csv", private=True),
            write_frame(self.cells, place / "cells.csv", private=True),
            terms.save(place / "contract.json"),
        )


@takes_frames
def build_audience(
    assignments: pl.DataFrame,
    customers: pl.DataFrame,
    *,
    contract: SegmentContract,
    kind: ListKind = "crm",
    channel: Channel | None = None,
    consent: str | None = "marketing_consent",
    unrecorded: Unrecorded | None = None,
    columns: Sequence[str] = (),
    optouts: pl.DataFrame | None = None,
    min_cell: int = 20,
    cell: Sequence[str] = ("segment", "offer"),
    platform: PlatformName | MailTool = "meta",
    region: str | None = None,
    policy: ContactPolicy | None = None,
    purpose: str = "marketing",
    at: datetime | date | None = None,
    contacts: pl.DataFrame | None = None,
    erased: Any = None,
    mapping: ColumnMapping | None = None,
) -> Audience:
    """List the customers of each offer, and count who is left out for which reason.

    Parameters
    ----------
    assignments : DataFrame
        customer_id, offer, segment (`segkit.campaign.Assignment.frame`); offer "none" gets no
        list.
    customers : DataFrame
        customer_id, the address or number that the channel needs, consent, and ``columns``; one
        row per customer.
    contract : SegmentContract
        It is written with every list.
    kind : {"crm", "upload"}
        "crm": customer_id, and the address in plain text if ``columns`` names it; "upload": the
        platform's columns and nothing else, hashed as an ad platform publishes, plain for a mail
        tool.
    channel : {"email", "sms", "phone", "post", "ads"}, optional
        Channel of the list; by default "ads" for an upload to an ad platform, else "email". E-mail
        needs an address (column ``email``) and text message or phone a number that can be read
        (column ``phone``); an upload needs either.
    consent : str or None
        Column of consent to the purpose. The channel's own consent is read from
        ``<channel>_consent`` where customers have such a column; a list needs both. None is for
        sources without the column.
    unrecorded : {"refused", "granted"}, optional
        What is assumed of customers whose consent is not recorded: "refused", or "granted" with
        ``consent=None``, which means that consent is checked elsewhere.
    columns : sequence of str
        Further columns of ``customers`` on the list ("crm" only).
    optouts : DataFrame, optional
        customer_id or email (or both), and phone, of those who opted out since; a column
        ``channel`` limits an opt-out to that channel. A customer is left out if another one with
        the same address or number (in the platform's spelling) opted out or refused.
    min_cell : int
        k-anonymity: combinations of ``cell`` with fewer customers are left out.
    cell : sequence of str
        Columns of the list whose combinations must not be small.
    platform : {"meta", "google", "klaviyo", "mailchimp", "hubspot"}
        Whose spelling before hashing, and whose headers, an upload follows. One to Meta or Google
        holds those of e-mail, phone, first_name, last_name, country, zip that ``customers`` have;
        one to a mail tool the address, segment, campaign and offer.
    region : str, optional
        Country of phone numbers written without country code ("GB"), where no column ``country``
        tells; without it such numbers are left out and counted.
    policy : ContactPolicy, optional
        Rules that hold for every list: the universal holdout, preferences, quiet times and caps.
        Its columns of consent take the place of ``consent``.
    purpose : str
        Of the contact, for the policy.
    at : datetime or date, optional
        When the list is sent, for the policy; by default the time of the assignment. A date, or
        midnight, counts as the whole day: quiet days apply, quiet hours do not.
    contacts : DataFrame, optional
        Contacts of all campaigns, for the caps (`segkit.rules.ContactPolicy.hold_back`).
    erased : iterable, frame or path, optional
        Ids of customers who had their data erased.
    mapping : Mapping, optional
        The data's (`segkit.clean_data`), by which ids of assignments, opt-outs, contacts and
        erasures are written.

    Returns
    -------
    Audience

    Raises
    ------
    ColumnError
        If a column is missing, the consent column above all.
    DataError
        If a customer is assigned or described twice; without ``mapping`` also if opt-outs or
        erasures would meet customers but for the spelling of their ids.
    ParameterError
        If kind, channel, platform or ``unrecorded`` is unknown, ``min_cell`` below 1, a consent is
        neither true nor false, or phone numbers are needed and the extra ``segkit[audience]`` is
        not installed.

    Examples
    --------
    >>> given = pl.DataFrame({"customer_id": ["007", "008"], "offer": ["sale", "sale"],
    ...                       "segment": ["S1", "S1"]})
    >>> people = pl.DataFrame({"customer_id": ["007", "008"], "email": ["A@b.org", None],
    ...                        "marketing_consent": [True, True]})
    >>> terms = SegmentContract("c", "2025-02-28", "1", "", "ward", {"S1": "all"})
    >>> made = build_audience(given, people, contract=terms, min_cell=1)
    >>> made.frame["customer_id"].to_list(), made.counts.filter(reason="no_email")["customers"][0]
    (['007'], 1)
    """
    hashed = kind == "upload" and platform in PLATFORMS
    mailed = kind == "upload" and not hashed
    channel = channel or ("ads" if hashed else "email")
    if policy is not None:
        consent = policy.consent_column(purpose) or None
        unrecorded = unrecorded or (policy.unrecorded if consent else "granted")
    unrecorded = unrecorded or ("granted" if consent is None else "refused")
    if policy is None and consent is None and "marketing_consent" in customers.columns:
        consent = "marketing_consent"  # what is assumed never overrides a refusal
    _check_options(kind, channel, unrecorded, platform, min_cell, columns)
    needed = ADDRESSES.get(channel, [])
    if hashed:
        needed = [name for name in ("email", "phone") if name in customers.columns] or ["email"]
    require_columns(assignments.columns, ["customer_id", "offer", "segment"], "assignments")
    require_columns(customers.columns, ["customer_id", *needed, *columns], "customers")
    eligibility.require_consent(customers.columns, consent)
    said: list[str] = []
    respell = partial(eligibility.spell_frame, mapping=mapping, notes=said)
    ids = assignments["customer_id"]
    ids = spell_list(ids, mapping, "the assignments", said)
    assignments = assignments.with_columns(ids)
    contacts = respell(contacts, what="the contacts")
    require_unique(assignments, "assignments")
    require_unique(customers, "customers")
    recorded = () if policy is not None and consent is None else customers.columns
    agreed = Consent.of(recorded, consent=consent, channel=channel, unrecorded=unrecorded)
    optouts = respell(_read_optouts(optouts, channel), what="the opt-outs")
    gone = spell_list(erased_ids(erased, None), mapping, "the erasure list", said)
    if mapping is None:
        known = pl.concat([customers["customer_id"], assignments["customer_id"]])
        require_met(gone, known, "the erasure list")
        require_met(_met_by_id_alone(customers, optouts), known, "the opt-outs")
    customers = customers.drop("offer", "segment", strict=False).with_columns(
        read_consents(customers, agreed.columns),
        _known=pl.lit(value=True),
        _gone=_opted_out(customers, optouts),
    )
    people = assignments.select("customer_id", "offer", "segment")
    people = people.join(customers, on="customer_id", how="left").sort("customer_id")
    require_columns(people.columns, cell, "the list")
    form = (hashed, channel, platform, region)
    identifiers, rejected = _identified(people, *form)
    people = people.hstack(identifiers).with_columns(
        _plain=platforms.is_plain(identifiers["_address"]),
        _erased=people["customer_id"].is_in(gone.implode()),
        _held=_held_back(policy, people, assignments, at, channel, purpose, contacts),
    )
    theirs, _ = _identified(_refusing(customers, agreed, optouts), *form)
    reasons = _reasons(agreed, theirs, needed, mailed)
    people = people.with_columns(_reason=eligibility.first_reason(reasons))
    people = _leave_out_repeats(people, needed, cell, min_cell)
    contacted = people.filter(~reasons["no_contact"] & pl.col("_known").is_not_null())
    silent = contacted.filter(agreed.silent()).height
    listed = people.filter(pl.col("_reason").is_null())
    without = set() if erased is not None else {"erased"}
    without |= (set() if mailed else {"formula_email"}) | (_BY_POLICY if policy is None else set())
    descriptions = {name: text for name, text in REASONS.items() if name not in without}
    return Audience(
        _shape(listed, contract, kind, platform, columns),
        eligibility.count_reasons(people["_reason"], "on a list", descriptions),
        listed.group_by("segment", "offer").agg(customers=pl.len()).sort("segment", "offer"),
        contract,
        kind,
        min_cell,
        platform,
        channel,
        agreed.describe(silent, contacted.height, by_policy=policy is not None),
        rejected,
        (*said, *_notes(people, customers, optouts)),
    )


def _leave_out_repeats(
    people: pl.DataFrame, needed: Sequence[str], cell: Sequence[str], min_cell: int
) -> pl.DataFrame:
    """Leave out whose address is on the list already, then the cells that are too small."""
    free = pl.col("_reason").is_null()
    if needed:
        key = pl.coalesce([f"_{name}" for name in needed])
        again = free & ~(key.is_first_distinct().over(free))
        people = people.with_columns(_reason=_where(again, "same_email"))
    cell_sizes = free.sum().over(list(cell)) if cell else free.sum()
    return people.with_columns(_reason=_where(free & (cell_sizes < min_cell), "small_cell"))


def _check_options(
    kind: str, channel: str, unrecorded: str, platform: str, min_cell: int, columns: Sequence[str]
) -> None:
    """Raise ``ParameterError`` for an option that is unknown, or does not go with the others."""
    require_choice("kind of list", kind, KINDS)
    require_choice("channel", channel, eligibility.CHANNELS)
    require_choice("value of unrecorded", unrecorded, eligibility.UNRECORDED)
    require_choice("platform", platform, (*PLATFORMS, *MAIL_TOOLS))
    require_least(min_cell=(min_cell, 1))
    if kind == "upload" and columns:
        raise ParameterError(
            "an upload to a platform holds the platform's columns alone; columns: "
            f"{', '.join(columns)}"
        )
    if kind == "upload" and platform in MAIL_TOOLS and channel != "email":
        raise ParameterError(f"a list for {platform} goes by e-mail, got channel {channel!r}")


def _read_optouts(optouts: pl.DataFrame | None, channel: str) -> pl.DataFrame | None:
    """Return the opt-outs that hold for the channel."""
    if optouts is None:
        return None
    if not {"customer_id", "email"} & set(optouts.columns):
        raise ColumnError(
            "optouts expects a column customer_id or email; it has "
            f"{', '.join(optouts.columns) or 'none'}"
        )
    if "channel" not in optouts.columns:
        return optouts
    named = read_channels(optouts["channel"])
    return optouts.filter((named == channel).fill_null(value=True))


def _met_by_id_alone(customers: pl.DataFrame, optouts: pl.DataFrame | None) -> pl.Series:
    """Return the ids of opt-outs that are not met by address."""
    if optouts is None or "customer_id" not in optouts.columns:
        return pl.Series("customer_id", [], dtype=pl.String)
    if not {"email"} <= set(optouts.columns) & set(customers.columns):
        return optouts["customer_id"]
    known = platforms.read_emails(customers["email"]).drop_nulls().unique()
    met = platforms.read_emails(optouts["email"]).is_in(known.implode())
    return optouts["customer_id"].filter(~met.fill_null(value=False))


def _opted_out(customers: pl.DataFrame, optouts: pl.DataFrame | None) -> pl.Series:
    """Return which customers opted out, by id or by address."""
    opted_out = pl.repeat(value=False, n=customers.height, dtype=pl.Boolean, eager=True)
    readers = {"customer_id": pl.Series.drop_nulls, "email": platforms.read_emails}
    for name, read in readers.items():
        if optouts is not None and name in customers.columns and name in optouts.columns:
            refused = read(optouts[name]).drop_nulls().unique()
            opted_out |= read(customers[name]).is_in(refused.implode()).fill_null(value=False)
    return opted_out


def _refusing(
    customers: pl.DataFrame, agreed: Consent, optouts: pl.DataFrame | None
) -> pl.DataFrame:
    """Return addresses and numbers of all who refused or opted out, assigned or not.

    Also those of opt-outs that no customer has in this spelling.
    """
    reasons = agreed.reasons()
    refused = [reasons[name] for name in ("no_consent", "no_channel_consent") if name in reasons]
    names = [name for name in ("email", "phone", "country") if name in customers.columns]
    frames = [customers.filter(pl.any_horizontal("_gone", *refused))]
    frames += [] if optouts is None else [optouts]
    parts = [
        frame.select(pl.col(name).cast(pl.String) for name in names if name in frame.columns)
        for frame in frames
    ]
    return pl.concat(parts, how="diagonal")


def _identified(
    own: pl.DataFrame, hashed: bool, channel: str, platform: Any, region: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the address and the identifiers that the list needs; count the unreadable ones."""
    address = pl.Series([None] * own.height, dtype=pl.String)
    if "email" in own.columns:
        address = platforms.read_emails(own["email"])
    normal, rejected = pl.DataFrame({"address": address}), _NO_IDENTIFIERS
    if hashed:
        identifiers = own.select(name for name in platforms.IDENTIFIERS if name in own.columns)
        normal, rejected = platforms.normalise_identifiers(
            identifiers, platform=platform, region=region
        )
    elif channel == "email":
        normal = pl.DataFrame({"email": address})
    elif channel in ADDRESSES:
        numbers = own.select(name for name in ("phone", "country") if name in own.columns)
        # Google takes numbers as they are read.
        normal, rejected = platforms.normalise_identifiers(
            numbers, platform="google", region=region
        )
        normal, rejected = normal.select("phone"), rejected.filter(identifier="phone")
    return normal.rename(lambda name: f"_{name}").with_columns(_address=address), rejected


def _held_back(
    policy: ContactPolicy | None,
    people: pl.DataFrame,
    assignments: pl.DataFrame,
    at: datetime | date | None,
    channel: str,
    purpose: str,
    contacts: pl.DataFrame | None,
) -> pl.Series:
    """Return why the policy holds back each customer; consent is judged with the other columns."""
    if policy is None:
        return pl.Series([None] * people.height, dtype=pl.String)
    if at is None and "assigned_at" in assignments.columns:
        assigned: Any = assignments["assigned_at"].max()
        of_a_day = assigned is not None and assigned.time() == time()  # it tells no hour
        at = assigned.date() if of_a_day else assigned
    if at is None:
        raise ParameterError("a contact policy needs the time of sending: give at=")
    return policy.hold_back(
        people, at=at, channel=channel, purpose=purpose, contacts=contacts, consent=False
    )


def _reasons(
    agreed: Consent, theirs: pl.DataFrame, needed: Sequence[str], mailed: bool
) -> dict[str, pl.Expr]:
    """Return when each reason to leave a customer out holds, in the order of their trial.

    ``theirs`` are the addresses and numbers of those who refused.
    """
    by_policy = {name: pl.col("_held") == name for name in HELD if name in _BY_POLICY}
    reasons = {
        "no_contact": pl.col("offer").is_null() | (pl.col("offer") == NO_OFFER),
        "erased": pl.col("_erased"),
        "not_a_customer": pl.col("_known").is_null(),
        "universal_holdout": by_policy.pop("universal_holdout"),
        **agreed.reasons(),
        "opted_out": pl.col("_gone"),
        "address_refused": pl.any_horizontal(
            pl.col(name).is_in(theirs[name].drop_nulls().unique().implode())
            for name in ("_address", "_email", "_phone")
            if name in theirs.columns
        ),
        **by_policy,
    }
    missing = pl.all_horizontal(pl.lit(value=True), *(pl.col(f"_{n}").is_null() for n in needed))
    for name in needed:
        given = pl.col(name).cast(pl.String).str.strip_chars().fill_null("") != ""
        reasons[f"bad_{name}"] = missing & given
    reasons |= {f"no_{name}": missing for name in needed}
    return reasons | ({"formula_email": ~pl.col("_plain")} if mailed else {})


def _where(condition: pl.Expr, reason: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(reason)).otherwise("_reason")


def _shape(
    listed: pl.DataFrame,
    contract: SegmentContract,
    kind: str,
    platform: Any,
    columns: Sequence[str],
) -> pl.DataFrame:
    """Return the lists' rows in the columns of their receiver, with the offer and segment."""
    if kind == "crm":
        address = [pl.col("_address").alias("email")] if "email" in columns else []
        others = [name for name in dict.fromkeys(columns) if name != "email"]
        return listed.select("customer_id", *address, "offer", "segment", *others)
    about = ["offer", "segment"]
    if platform in MAIL_TOOLS:
        listed = listed.sort("_address").select(*about, email="_address")
        shaped = platforms.shape_mail_import(
            listed, platform, as_of=contract.as_of, campaign=contract.campaign_id
        )
        return shaped.hstack(listed.select(about))
    names = [name for name in platforms.IDENTIFIERS if f"_{name}" in listed.columns]
    normal = listed.select(pl.col(f"_{name}").alias(name) for name in names)
    hashed = platforms.hash_identifiers(normal, platform=platform)
    # Sorted by hash, so that the order of the rows reveals nothing about the ids.
    return hashed.hstack(listed.select(about)).sort(hashed.columns, nulls_last=True)


def _notes(
    people: pl.DataFrame, customers: pl.DataFrame, optouts: pl.DataFrame | None
) -> tuple[str, ...]:
    """Write which lists match nobody, and how many of their ids are not among the customers."""
    notes = []
    if optouts is not None and optouts.height and not people["_gone"].any():
        notes.append(
            f"None of the {counted(optouts.height, 'opt-out')} matches a customer on the lists: "
            "check how ids and addresses are written."
        )
    for name, frame in (("the assignments", people), ("the opt-outs", optouts)):
        if frame is not None and "customer_id" in frame.columns:
            ids = (frame["customer_id"], customers["customer_id"])
            note = unmatched(*ids, name, "the customers")
            notes += [f"{note[0].upper()}{note[1:]}."] if note else []
    return tuple(notes)
