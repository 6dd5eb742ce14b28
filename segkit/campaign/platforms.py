"""Identifiers in the format of ad platforms: normalised per platform, then SHA-256.

Sources: Google, "Format user data" (Data Manager API), "OfflineUserAddressInfo" (Google Ads API)
and the template of its Customer Match file; Meta, "Customer Information Parameters" (Conversions
API) and "How to format a customer list when creating a custom audience"; for mail tools, which take
plain addresses, Klaviyo, "How to create and add subscribers to a new list", Mailchimp, "Format
guidelines for your import file", and HubSpot, "How do I import contacts" (which merges by "Email").
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from segkit.errors import ParameterError, require_choice, require_columns
from segkit.frames import takes_frames
from segkit.spreadsheets import defuse

IDENTIFIERS = ("email", "phone", "first_name", "last_name", "country", "zip")
_SHAPE = r"^[^@\s,;:<>\"()]+@[^@\s,;:<>.\"()]+(\.[^@\s,;:<>.\"()]+)+$"
# An address beside a name or a number: jo@x.org, +254 706; Jo <jo@x.org>.
_AMONG_OTHERS = (
    r"(?:^|[,;:/|<(]\s*)([^@\s,;:<>\"()/|]+@[^@\s,;:<>.\"()/|]+"
    r"(?:\.[^@\s,;:<>.\"()/|]+)+)\s*(?:$|[,;/|>)])"
)
_INVISIBLE = r"[\p{Cf}\p{Cc}\x{00A0}]"
_HASHED = r"^(?i)([0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})$"
_GOOGLE_DOMAINS = ("gmail.com", "googlemail.com")
_PREFIXES = r"^(mr|mrs|ms|miss|mx|dr|prof)\.?\s+"
_SUFFIXES = r"[\s,]+(jr|sr|ii|iii|iv)\.?$"
REJECTED = {
    "bad_email": "no e-mail address",
    "hashed_email": "hashed already: whether it was normalised before cannot be seen",
    "bad_phone": "no phone number, or of an impossible length",
    "phone_without_country": "a phone number without country code, and no region was given",
    "bad_country": "no two-letter country code (ISO 3166-1 alpha-2)",
}


# Columns of the table of identifiers that could not be read.
REJECTS = dict.fromkeys(("identifier", "reason", "description"), pl.String) | {
    "customers": pl.Int64
}


@dataclass(frozen=True, slots=True)
class Platform:
    """Format of a customer's identifiers on one platform.

    Attributes
    ----------
    about : str
        The rule for e-mail addresses in words.
    headers : dict of str to str
        Identifier to the header of its column, as the platform publishes it, in its order.
    plain : tuple of str
        Identifiers that are not hashed.
    email, phone, first_name, last_name, country, zip : callable
        Normalise a trimmed text (phone: E.164; zip: with its country, upper case, or null).
    """

    about: str
    headers: dict[str, str]
    plain: tuple[str, ...]
    email: Callable[[pl.Expr], pl.Expr]
    phone: Callable[[pl.Expr], pl.Expr]
    first_name: Callable[[pl.Expr], pl.Expr]
    last_name: Callable[[pl.Expr], pl.Expr]
    country: Callable[[pl.Expr], pl.Expr]
    zip: Callable[[pl.Expr, pl.Expr], pl.Expr]


def _google_email(text: pl.Expr) -> pl.Expr:
    text = text.str.replace_all(r"\s+", "").str.to_lowercase()
    local, domain = text.str.extract(r"^(.*)@", 1), text.str.extract(r"@([^@]*)$", 1)
    bare = local.str.replace(r"\+.*$", "").str.replace_all(".", "", literal=True)
    plain = pl.concat_str(bare, pl.lit("@"), domain)
    return pl.when(domain.is_in(_GOOGLE_DOMAINS)).then(plain).otherwise(text)


def _spaced(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", " ").str.strip_chars()


def _letters_only(text: pl.Expr) -> pl.Expr:
    return _spaced(text.str.to_lowercase().str.replace_all(r"\p{P}", ""))


def _google_first(text: pl.Expr) -> pl.Expr:
    return _spaced(_spaced(text.str.to_lowercase()).str.replace(_PREFIXES, ""))


def _google_last(text: pl.Expr) -> pl.Expr:
    return _letters_only(_spaced(text.str.to_lowercase()).str.replace(_SUFFIXES, ""))


def _google_zip(text: pl.Expr, country: pl.Expr) -> pl.Expr:
    american = (country == "US").fill_null(value=False)
    return pl.when(american).then(text.str.replace_all(r"\s+", "")).otherwise(_spaced(text))


def _meta_zip(text: pl.Expr, country: pl.Expr) -> pl.Expr:
    plain = text.str.to_lowercase().str.replace_all(r"[\s\p{Pd}]+", "")
    american = (country == "US").fill_null(value=False) | text.str.contains(r"^\d{5}-\d{4}$")
    return pl.when(american).then(plain.str.head(5)).otherwise(plain)


PlatformName = Literal["meta", "google"]
PLATFORMS = {
    "meta": Platform(
        "white space cut off, lower case",
        {
            "email": "email",
            "phone": "phone",
            "first_name": "fn",
            "last_name": "ln",
            "zip": "zip",
            "country": "country",
        },
        (),
        email=lambda text: text.str.to_lowercase(),
        phone=lambda text: text.str.strip_prefix("+"),
        first_name=_letters_only,
        last_name=_letters_only,
        country=lambda text: text.str.to_lowercase(),
        zip=_meta_zip,
    ),
    "google": Platform(
        "white space taken out, lower case; for gmail.com and googlemail.com also the dots, and "
        "'+' with what follows",
        {
            "email": "Email",
            "phone": "Phone",
            "first_name": "First Name",
            "last_name": "Last Name",
            "country": "Country",
            "zip": "Zip",
        },
        ("country", "zip"),
        email=_google_email,
        phone=lambda text: text,
        first_name=_google_first,
        last_name=_google_last,
        country=lambda text: text,
        zip=_google_zip,
    ),
}

# Mail tool -> column of an audience to the header under which its import takes it.
MailTool = Literal["klaviyo", "mailchimp", "hubspot"]
_PROPERTIES = {"segment": "Segment", "segment_date": "Segment Date"}
_OFFER = {"campaign": "Campaign", "offer": "Offer"}  # where the list is one of a campaign
MAIL_TOOLS: dict[MailTool, dict[str, str]] = {
    "klaviyo": {"email": "Email Address", **_PROPERTIES, **_OFFER},
    "mailchimp": {"email": "Email Address", "tag": "Tags"},
    "hubspot": {"email": "Email", **_PROPERTIES, **_OFFER},
}


@takes_frames
def shape_mail_import(
    audience: pl.DataFrame, tool: MailTool, *, as_of: str, campaign: str = ""
) -> pl.DataFrame:
    """Give an audience the columns that a mail tool's import takes: address, and segment or tag.

    Klaviyo and HubSpot keep the segment as a property of the profile, which the next import
    replaces. Mailchimp adds a tag and removes none, so that its tag names the day too. An address
    that a spreadsheet would run as a formula is left out, because defusing it would change the
    address.

    Parameters
    ----------
    audience : polars or pandas frame
        email, segment: the customers who may be contacted; offer for a campaign.
    tool : {"klaviyo", "mailchimp", "hubspot"}
    as_of : str
        The day of the segments (ISO date).
    campaign : str
        Campaign whose offer is written too: as properties, or as a second tag.

    Raises
    ------
    ParameterError
        If the tool is unknown.
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> listed = pl.DataFrame({"email": ["jo@x.org"], "segment": ["Loyal"]})
    >>> shape_mail_import(listed, "mailchimp", as_of="2024-05-01").to_dicts()
    [{'Email Address': 'jo@x.org', 'Tags': 'Loyal 2024-05-01'}]
    """
    require_choice("mail tool", tool, MAIL_TOOLS)
    offer = ["offer"] if campaign else []
    require_columns(audience.columns, ["email", "segment", *offer], "the audience")
    tags = [pl.concat_str("segment", pl.lit(f" {as_of}"))]
    tags += [pl.concat_str(pl.lit(f"{campaign} "), name) for name in offer]
    # A comma parts two tags, and would part one into two.
    tag = pl.concat_str([one.str.replace_all(",", " ") for one in tags], separator=",")
    plain = audience.filter(is_plain(audience["email"])).sort("email")
    rows = plain.with_columns(segment_date=pl.lit(as_of), tag=tag, campaign=pl.lit(campaign))
    headers = {k: v for k, v in MAIL_TOOLS[tool].items() if campaign or k not in _OFFER}
    return rows.select(pl.col(name).alias(header) for name, header in headers.items())


@takes_frames
def is_plain(emails: pl.Series) -> pl.Series:
    """Tell the addresses that a spreadsheet would not run as a formula.

    Examples
    --------
    >>> is_plain(pl.Series(["jo@x.org", "+jo@x.org", None])).to_list()
    [True, False, None]
    """
    return emails == defuse(emails.to_frame()).to_series()


def find_platform(name: str) -> Platform:
    """Return a platform by its name.

    Raises
    ------
    ParameterError
        If it is unknown.
    """
    require_choice("platform", name, PLATFORMS)
    return PLATFORMS[name]


@takes_frames
def read_emails(emails: pl.Series) -> pl.Series:
    """Read e-mail addresses: trimmed, lower case, no invisible characters; null if not valid.

    Beside a name or a telephone number, the only address of a cell is read.

    Examples
    --------
    >>> read_emails(pl.Series([" Jo.Doe@GMAIL.com", "mailto:jo@x.org", "Jo <jo@x.org>"])).to_list()
    ['jo.doe@gmail.com', 'jo@x.org', 'jo@x.org']
    >>> read_emails(pl.Series(["jo@x.org, +254 706", "020 79/jo@x.org", "jo doe@x.org"])).to_list()
    ['jo@x.org', 'jo@x.org', None]
    """
    text = _clean(pl.col("e")).str.replace(r"(?i)^mailto:", "").str.to_lowercase()
    is_only = text.str.count_matches("@", literal=True) == 1
    part = pl.when(is_only).then(text.str.extract(_AMONG_OTHERS))
    text = pl.when(text.str.contains(_SHAPE)).then(text).otherwise(part)
    read = pl.when(text.str.contains(_SHAPE)).then(text).alias(emails.name)
    return emails.cast(pl.String).alias("e").to_frame().select(read).to_series()


def _clean(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(_INVISIBLE, "").str.strip_chars()


@takes_frames
def normalise_emails(emails: pl.Series, *, platform: PlatformName = "meta") -> pl.Series:
    """Normalise e-mail addresses for a platform before hashing; null if not valid.

    Parameters
    ----------
    emails : Series of String
    platform : {"meta", "google"}
        See `PLATFORMS`.

    Raises
    ------
    ParameterError
        If the platform is unknown.

    Examples
    --------
    >>> one = pl.Series(["Cloudy.SanFrancisco+shopping@gmail.com", "none"])
    >>> normalise_emails(one, platform="google").to_list()
    ['cloudysanfrancisco@gmail.com', None]
    """
    rule = find_platform(platform)
    trimmed = emails.cast(pl.String)
    if platform == "google":  # white space inside is removed before the format is checked
        trimmed = trimmed.str.replace_all(r"\s+", "")
    read = read_emails(trimmed).alias("e").to_frame().select(rule.email(pl.col("e")))
    shaped = pl.when(pl.col("e").str.contains(_SHAPE)).then(pl.col("e"))
    return read.select(shaped.alias(emails.name)).to_series()


@takes_frames
def read_phones(
    phones: pl.Series, *, region: str | None = None, regions: pl.Series | None = None
) -> pl.DataFrame:
    """Read phone numbers in E.164 form, each with the reason if it cannot be read.

    Parameters
    ----------
    phones : Series
        Numbers in any spelling.
    region : str, optional
        Country (ISO 3166-1 alpha-2) of numbers that are written without country code.
    regions : Series, optional
        The same for each number; it takes precedence over ``region``.

    Returns
    -------
    polars.DataFrame
        phone, reason ("bad_phone", "phone_without_country", null).

    Raises
    ------
    ParameterError
        If the library is not installed, or the region is unknown.

    Examples
    --------
    >>> raw = pl.Series(["(650)555-1212", "+44 20 7946 0958"])
    >>> read_phones(raw, region="US")["phone"].to_list()
    ['+16505551212', '+442079460958']
    """
    if importlib.util.find_spec("phonenumbers") is None:
        raise ParameterError("phone numbers need phonenumbers: install segkit[audience]")
    import phonenumbers

    countries = phonenumbers.SUPPORTED_REGIONS
    if region is not None and region.upper() not in countries:
        raise ParameterError(f"region expects a country such as 'GB', got {region!r}")
    where = pl.Series("region", [None] * phones.len(), dtype=pl.String)
    if regions is not None:
        upper = regions.cast(pl.String).str.strip_chars().str.to_uppercase()
        where = upper.set(~upper.is_in(list(countries)), None)
    where = where.fill_null(region.upper()) if region else where
    text = phones.cast(pl.String).alias("text").to_frame().select(_clean(pl.col("text")))
    numbers = text.with_columns(where.alias("region"))

    def read(number: str, country: str | None) -> tuple[str | None, str | None]:
        try:
            parsed = phonenumbers.parse(number, country)
        except phonenumbers.NumberParseException as error:
            no_country = error.error_type == error.INVALID_COUNTRY_CODE and country is None
            digits = sum(sign.isdigit() for sign in number)
            plain = no_country and digits >= 6 and not number.startswith("+")
            return None, "phone_without_country" if plain else "bad_phone"
        if not phonenumbers.is_possible_number(parsed):
            return None, "bad_phone"
        return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164), None

    pairs = numbers.filter(pl.col("text") != "").unique()
    read_numbers = [read(number, country) for number, country in pairs.iter_rows()]
    table = pairs.with_columns(
        pl.Series("phone", [one for one, _ in read_numbers], dtype=pl.String),
        pl.Series("reason", [why for _, why in read_numbers], dtype=pl.String),
    )
    joined = numbers.join(
        table, on=["text", "region"], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined.select("phone", "reason")


@takes_frames
def normalise_identifiers(
    people: pl.DataFrame, *, platform: PlatformName = "meta", region: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Normalise customers' identifiers for a platform before hashing.

    Parameters
    ----------
    people : DataFrame
        Any of email, phone, first_name, last_name, country, zip.
    platform : {"meta", "google"}
    region : str, optional
        Country of phone numbers without country code, where ``country`` is missing.

    Returns
    -------
    tuple of DataFrame
        The identifiers in their normal form, null where there is none; and those that could not
        be read: identifier, reason, description, customers.

    Examples
    --------
    >>> people = pl.DataFrame({"first_name": ["Valéry"], "zip": ["M1 1AE"], "country": ["gb"]})
    >>> normalise_identifiers(people)[0].row(0)
    ('valéry', 'gb', 'm11ae')
    """
    rule = find_platform(platform)
    given = [name for name in IDENTIFIERS if name in people.columns]
    text = people.select(_clean(pl.col(name).cast(pl.String)).alias(name) for name in given)
    text = text.select(pl.when(pl.col(name) != "").then(pl.col(name)) for name in given)
    code = pl.Series("_code", [None] * people.height, dtype=pl.String)
    if "country" in given:
        upper = text["country"].str.to_uppercase()
        code = upper.set(~upper.str.contains(r"^[A-Z]{2}$"), None).alias("_code")
    text = text.with_columns(code)
    normalised: dict[str, pl.Series] = {}
    rejected: dict[str, pl.Series] = {}
    for name in given:
        value = text[name]
        if name == "email":
            normalised[name] = normalise_emails(value, platform=platform)
            hashed = value.str.contains(_HASHED).fill_null(value=False)
            rejected[name] = _refused(value, normalised[name], "bad_email").set(
                hashed & normalised[name].is_null(), "hashed_email"
            )
        elif name == "phone":
            read = read_phones(value, region=region, regions=code)
            normalised[name] = read.select(rule.phone(pl.col("phone"))).to_series()
            rejected[name] = read["reason"]
        elif name == "country":
            normalised[name] = text.select(rule.country(pl.col("_code"))).to_series()
            rejected[name] = _refused(value, code, "bad_country")
        elif name == "zip":
            normalised[name] = text.select(rule.zip(pl.col(name), pl.col("_code"))).to_series()
        else:  # a name
            normalised[name] = text.select(getattr(rule, name)(pl.col(name))).to_series()
    rows = [
        (name, key, REJECTED[key], int(count))
        for name, reasons in rejected.items()
        for key, count in reasons.drop_nulls().value_counts(sort=True).iter_rows()
    ]
    return pl.DataFrame(normalised), pl.DataFrame(rows, schema=REJECTS, orient="row")


def _refused(given: pl.Series, read: pl.Series, reason: str) -> pl.Series:
    """Return the reason where something was given and nothing could be read."""
    none = pl.Series([None] * len(given), dtype=pl.String)
    return none.set(given.is_not_null() & read.is_null(), reason)


@takes_frames
def hash_texts(normalised: pl.Series) -> pl.Series:
    """Return the SHA-256 of normalised texts (UTF-8), as 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> hash_texts(pl.Series(["test@example.com"]))[0][:16]
    '973dfe463ec85785'
    """
    sha = hashlib.sha256
    values = [None if e is None else sha(e.encode()).hexdigest() for e in normalised.to_list()]
    return pl.Series(normalised.name, values, dtype=pl.String)


@takes_frames
def hash_identifiers(normalised: pl.DataFrame, *, platform: PlatformName = "meta") -> pl.DataFrame:
    """Hash the identifiers that the platform requires, with its headers in its order.

    Examples
    --------
    >>> one = pl.DataFrame({"email": ["test@example.com"], "country": ["US"]})
    >>> hash_identifiers(one, platform="google").select(pl.all().str.head(6)).to_dicts()
    [{'Email': '973dfe', 'Country': 'US'}]
    """
    rule = find_platform(platform)
    return pl.DataFrame(
        [
            (normalised[name] if name in rule.plain else hash_texts(normalised[name])).alias(header)
            for name, header in rule.headers.items()
            if name in normalised.columns
        ]
    )
