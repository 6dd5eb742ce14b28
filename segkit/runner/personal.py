"""Which columns hold ids or personal data, and must not enter a report unasked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

PERSONAL = re.compile(
    r"(^|_)(customer_ids?|email|e_mail|device_ids?|loyalty_ids?|session_ids?|phone|telephone|mobile"
    r"|first_name|last_name|surname|full_name|address|street|postcode|zip_code|birth_date|birthday"
    r"|date_of_birth|ip_address)($|_)",
    re.IGNORECASE,
)
ADDRESS = r"[\w.+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}"
# A statistic about a personal column is no personal datum.
ABOUT = re.compile(
    r"(^|_)(share|rate|count|n|rows|missing|filled|opens?|opened|clicks?|clicked|sent)($|_)"
)


def personal_columns(names: list[str]) -> list[str]:
    """Return the names, among columns, that hold ids or personal data.

    Examples
    --------
    >>> personal_columns(["customer_id", "orders", "Email", "email_share", "segment_name"])
    ['customer_id', 'Email']
    """
    return [name for name in names if PERSONAL.search(name) and not ABOUT.search(name.lower())]


def without_personal(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return a frame without personal columns, and the names of those left out.

    Besides those whose name says so, a column of texts is personal in which any is, or holds, an
    e-mail address.

    Examples
    --------
    >>> import polars as pl
    >>> without_personal(pl.DataFrame({"who": ["ann@shop.example", "Bob"], "spent": [1, 2]}))[1]
    ['who']
    """
    import polars as pl

    named = personal_columns(frame.columns)
    texts = [name for name in frame.columns if frame.schema[name] == pl.String]
    found = {name for name in texts if frame[name].str.contains(ADDRESS).any()}
    dropped = [name for name in frame.columns if name in found or name in named]
    return frame.drop(dropped), dropped
