"""Who is new on a list since the last one, and who left it."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from segkit.campaign.platforms import MAIL_TOOLS, PLATFORMS
from segkit.errors import DataError, SourceError
from segkit.frames import takes_frames
from segkit.spreadsheets import restore
from segkit.writing import FORMATS

ListKind = Literal["crm", "upload"]
KINDS: tuple[ListKind, ...] = get_args(ListKind)
# Headers of what a platform meets people by; the rest of a row describes them.
KEYS = {
    "customer_id",
    *(tool["email"] for tool in MAIL_TOOLS.values()),
    *(rule.headers[name] for rule in PLATFORMS.values() for name in ("email", "phone")),
}


def name_list(campaign: str, offer: str, kind: str) -> str:
    """Return a list's file name without ending, of letters, digits, dots, dashes, underscores.

    An offer with other signs gets the beginning of its hash beside them, so that two offers never
    share a file, whichever others there are.

    Examples
    --------
    >>> name_list("spring/25", "flash_sale", "crm"), name_list("spring/25", "flash sale", "crm")
    ('spring_25-flash_sale-crm', 'spring_25-flash_sale_b6748a04-crm')
    """
    plain = _file_part(offer)
    if plain != offer:
        plain += f"_{hashlib.sha256(offer.encode()).hexdigest()[:8]}"
    return f"{_file_part(campaign)}-{plain}-{kind}"


def _file_part(part: str) -> str:
    return re.sub(r"[^\w.-]+", "_", part).strip("._") or "list"


def find_files(folder: Path, campaign: str, kind: str, change: str = "") -> list[Path]:
    """Return the files of the lists of one kind in a folder whose contract is the campaign's.

    Parameters
    ----------
    folder : Path
    campaign, kind : str
    change : str
        "-added" or "-removed" for the files of changes instead.
    """
    if not campaign or _campaign(folder) != _file_part(campaign):
        return []
    paths = sorted(folder.glob(f"{glob.escape(_file_part(campaign))}-*-{kind}{change}.*"))
    return [path for path in paths if path.suffix[1:] in FORMATS]


def _campaign(folder: Path) -> str:
    """Return the campaign of a folder's contract as files spell it; empty without a contract."""
    contract = folder / "contract.json"
    if not contract.is_file():
        return ""
    return _file_part(str(json.loads(contract.read_text(encoding="utf-8"))["campaign_id"]))


def read_lists(folder: Path, kind: str) -> dict[str, pl.DataFrame]:
    """Read the lists that an earlier `segkit.campaign.Audience.write` left in a folder.

    Returns
    -------
    dict of str to DataFrame
        Name of the offer, as files spell it, to its list; empty where nobody was on any.

    Raises
    ------
    SourceError
        If segkit wrote no lists there, or only such as cannot be read here.
    """
    lists = {}
    campaign = _campaign(folder)
    for path in find_files(folder, campaign, kind):
        offer = path.stem.removeprefix(f"{campaign}-").removesuffix(f"-{kind}")
        if path.suffix == ".parquet":
            lists[offer] = pl.read_parquet(path)
        elif path.suffix == ".csv":
            lists[offer] = restore(pl.read_csv(path, infer_schema=False))
    others = (path for one in KINDS for path in find_files(folder, campaign, one))
    if not lists and (not campaign or any(others)):
        raise SourceError(
            f"{folder.name} holds no lists of kind {kind!r} that segkit wrote (CSV or Parquet)"
        )
    return lists


@takes_frames
def list_changes(now: pl.DataFrame, before: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that are new on a list, and those to be taken off it.

    Rows meet by all identifiers that the list holds (id, address, phone number): where one of
    somebody's changed, the whole row is new, and the old identifier is to be taken off. A row to
    be taken off holds no identifier that somebody on the list has still. A column of identifiers
    that the list no longer has is taken off whole.

    Parameters
    ----------
    now, before : DataFrame
        This list, and the last.

    Raises
    ------
    DataError
        If the last list lacks an identifier of this one, as those of two platforms.

    Examples
    --------
    >>> now = pl.DataFrame({"email": ["a", "b"], "phone": ["1", None]})
    >>> before = pl.DataFrame({"email": ["a", "c", "d"], "phone": ["2", "3", "1"]})
    >>> added, removed = list_changes(now, before)
    >>> added["email"].to_list(), removed.rows()
    (['a', 'b'], [(None, '2'), ('c', '3'), ('d', None)])
    """
    keys = [name for name in now.columns if name in KEYS]
    if not keys or not set(keys) <= set(before.columns):
        raise DataError(
            f"the last list has the columns {', '.join(before.columns)}, this one has "
            f"{', '.join(now.columns)}: were they made for the same platform?"
        )
    once = [name for name in before.columns if name in KEYS]
    current = now.with_columns(pl.col(keys).cast(pl.String)).with_columns(
        pl.lit(None, pl.String).alias(name) for name in once if name not in keys
    )
    before = before.with_columns(pl.col(once).cast(pl.String))
    new = current.with_row_index("_row").join(before, on=keys, how="anti", nulls_equal=True)
    removed = before.join(
        current, on=once, how="anti", nulls_equal=True, maintain_order="left"
    ).with_columns(
        pl.when(~pl.col(key).is_in(current[key].drop_nulls().implode())).then(pl.col(key))
        for key in once
    )
    return now[new["_row"].sort()], removed.filter(pl.any_horizontal(pl.col(once).is_not_null()))


def compare_lists(
    lists: Mapping[str, pl.DataFrame], earlier: Mapping[str, pl.DataFrame], campaign: str, kind: str
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
    stems = [name_list(campaign, offer, kind) for offer in earlier]
    before = dict(zip(stems, earlier.values(), strict=True))
    for stem in dict.fromkeys([*lists, *stems]):
        if stem not in lists:
            changes[f"{stem}-removed"] = before[stem]
            continue
        now = lists[stem]
        added, removed = list_changes(now, before[stem]) if stem in before else (now, now.clear())
        changes |= {f"{stem}-added": added, f"{stem}-removed": removed}
    return changes
