"""E-mails as ad platforms want them: normalised, then hashed with SHA-256."""

from __future__ import annotations

import hashlib

import polars as pl

from segkit.errors import ParameterError, unknown

PLATFORMS = {
    "meta": "white space cut off, lower case",
    "google": "as meta, and without dots before @gmail.com and @googlemail.com",
}
_SHAPE = r"^[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)+$"


def normalise_emails(emails: pl.Series, *, platform: str = "meta") -> pl.Series:
    """How does a platform write these addresses before it hashes them? Null for what is none.

    Parameters
    ----------
    emails : Series of String
    platform : {"meta", "google"}
        See `PLATFORMS`; each as the platform's upload guide asks.

    Raises
    ------
    ParameterError
        If the platform is unknown.

    Examples
    --------
    >>> normalise_emails(pl.Series([" Jo.Doe@GMAIL.com", "none"]), platform="google").to_list()
    ['jodoe@gmail.com', None]
    """
    if platform not in PLATFORMS:
        raise ParameterError(unknown("platform", platform, PLATFORMS))
    name = emails.name
    text = pl.col("e").str.strip_chars().str.to_lowercase()
    frame = emails.cast(pl.String).alias("e").to_frame().with_columns(text)
    if platform == "google":
        local, domain = pl.col("e").str.extract(r"^(.*)@", 1), pl.col("e").str.extract(r"@(.*)$", 1)
        plain = pl.concat_str(local.str.replace_all(".", "", literal=True), pl.lit("@"), domain)
        is_google = domain.is_in(["gmail.com", "googlemail.com"])
        frame = frame.with_columns(pl.when(is_google).then(plain).otherwise(pl.col("e")).alias("e"))
    good = pl.when(pl.col("e").str.contains(_SHAPE)).then(pl.col("e")).otherwise(None)
    return frame.select(good.alias(name)).to_series()


def hash_emails(normalised: pl.Series) -> pl.Series:
    """Return the SHA-256 of normalised addresses, as 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> hash_emails(pl.Series(["test@example.com"]))[0][:16]
    '973dfe463ec85785'
    """
    sha = hashlib.sha256
    values = [None if e is None else sha(e.encode()).hexdigest() for e in normalised.to_list()]
    return pl.Series(normalised.name, values, dtype=pl.String)
