"""Who is new on a list since the last one, and who left it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from segkit.campaign.platforms import MAIL_TOOLS, PLATFORMS
from segkit.errors import DataError, SourceError
from segkit.frames import takes_frames
from segkit.spreadsheets import restore

# Headers of what a platform meets people by; the rest of a row describes them.
KEYS = {
    "customer_id",
    *(tool["email"] for tool in MAIL_TOOLS.values()),
    *(rule.headers[name] for rule in PLATFORMS.values() for name in ("email", "phone")),
}


def name_list(campaign: str, offer: str, kind: str) -> str:
    """Return a list's file name without ending, of letters, digits, dots, dashes, underscores.

    Examples
    --------
    >>> name_list("spring/25", "flash sale", "crm")
    'spring_25-flash_sale-crm'
    """
    parts = [re.sub(r"[^\w.-]+", "_", part).strip("._") or "list" for part in (campaign, offer)]
    return f"{parts[0]}-{parts[1]}-{kind}"


def read_lists(folder: Path, kind: str) -> dict[str, pl.DataFrame]:
    """Read the lists that an earlier `segkit.campaign.Audience.write` left in a folder.

    Returns
    -------
    dict of str to DataFrame
        Name of the offer, as files spell it, to its list.

    Raises
    ------
    SourceError
        If there is none of this kind.
    """
    contract = folder / "contract.json"
    lists = {}
    if contract.is_file():
        campaign = json.loads(contract.read_text(encoding="utf-8"))["campaign_id"]
        start = name_list(campaign, "", "").removesuffix("list-")
        for path in sorted(folder.glob(f"{start}*-{kind}.*")):
            offer = path.stem.removeprefix(start).removesuffix(f"-{kind}")
            if path.suffix == ".parquet":
                lists[offer] = pl.read_parquet(path)
            elif path.suffix == ".csv":
                lists[offer] = restore(pl.read_csv(path, infer_schema=False))
    if not lists:
        raise SourceError(
            f"{folder.name} holds no lists of kind {kind!r} that segkit wrote (CSV or Parquet)"
        )
    return lists


@takes_frames
def list_changes(now: pl.DataFrame, before: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are new on a list, and those to be taken off it.

    Rows meet by the identifiers that both lists hold (id, address, phone number). Somebody who is
    met by one of them stays: a new phone number makes nobody a leaver. A row to be taken off
    holds no identifier that somebody on the list has still.

    Parameters
    ----------
    now, before : DataFrame
        Lists with the same columns.

    Raises
    ------
    DataError
        If the lists have other columns, as those of two platforms.

    Examples
    --------
    >>> now = pl.DataFrame({"email": ["a", "b"], "phone": ["1", None]})
    >>> before = pl.DataFrame({"email": ["a", "c", "d"], "phone": ["2", "3", "1"]})
    >>> added, removed = list_changes(now, before)
    >>> added["email"].to_list(), removed.rows()
    (['b'], [('c', '3'), ('d', None)])
    """
    keys = [name for name in now.columns if name in KEYS]
    if not keys or not set(keys) <= set(before.columns):
        raise DataError(
            f"the last list has the columns {', '.join(before.columns)}, this one has "
            f"{', '.join(now.columns)}: were they made for the same platform?"
        )
    before = before.with_columns(pl.col(keys).cast(pl.String))
    there = {key: now[key].cast(pl.String).drop_nulls().implode() for key in keys}
    met = pl.any_horizontal(
        pl.col(key).cast(pl.String).is_in(before[key].drop_nulls().implode()).fill_null(value=False)
        for key in keys
    )
    first = pl.coalesce(keys)
    stays = pl.coalesce(
        pl.when(pl.col(key).is_not_null()).then(pl.col(key).is_in(there[key])) for key in keys
    )
    left = before.filter(first.is_not_null(), ~stays).with_columns(
        pl.when(~pl.col(key).is_in(there[key])).then(pl.col(key)) for key in keys
    )
    return now.filter(~met), left


def compare_lists(
    lists: Mapping[str, pl.DataFrame],
    earlier: Mapping[str, pl.DataFrame],
    campaign: str,
    kind: str,
) -> dict[str, pl.DataFrame]:
    """Return the additions to each list and the removals from it, by the name of their file.

    Parameters
    ----------
    lists : mapping of str to DataFrame
        File name (`name_list`) to list.
    earlier : mapping of str to DataFrame
        Offer to its last list (`read_lists`); everybody leaves a list that is no more.
    campaign, kind : str
        Of the lists.
    """
    changes = {}
    gone = [name_list(campaign, offer, kind) for offer in earlier]
    before = dict(zip(gone, earlier.values(), strict=True))
    for stem in dict.fromkeys([*lists, *gone]):
        if stem not in lists:
            changes[f"{stem}-removed"] = before[stem]
            continue
        now = lists[stem]
        added, left = list_changes(now, before[stem]) if stem in before else (now, now.clear())
        changes |= {f"{stem}-added": added, f"{stem}-removed": left}
    return changes
