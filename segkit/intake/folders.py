"""Several files: which table each holds, and one frame of those that hold the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from segkit.display import counted
from segkit.errors import SourceError
from segkit.intake.columns import Columns
from segkit.intake.consents import consent_meaning
from segkit.intake.factors import LEAST
from segkit.intake.headers import WORDS
from segkit.intake.layouts import (
    Layout,
    describe_layout,
    find_layout,
    layout_mapping,
    missing_layout,
    preset_part,
    second_table,
    words_of,
)
from segkit.intake.mapping import Mapping, TableMapping
from segkit.intake.roles import name_score
from segkit.intake.textfiles import RawTable
from segkit.schema import CONTRACTS


@dataclass(frozen=True, slots=True)
class Part:
    """One file or frame of a source."""

    table: str | None  # the contract's, if it is given; else the layout decides
    default: str | None  # the table if no layout is recognised
    name: str  # the file's; empty for a frame
    read: RawTable


def table_by_name(name: str) -> str | None:
    """Find the table that a file's name tells of: the word that stands first in it.

    Examples
    --------
    >>> table_by_name("Kunden 2024.csv"), table_by_name("order_lines.xlsx"), table_by_name("a.csv")
    ('customers', 'orders', None)
    """
    stem = name.split(".")[0].lower()
    if stem in CONTRACTS:
        return stem
    places = {
        table: match.start()
        for table, words in WORDS["files"].items()
        if (match := re.search(words.replace("\n", ""), stem))
    }
    return min(places, key=lambda table: places[table]) if places else None


def holds_contacts(names: Iterable[str], name: str = "") -> bool:
    """Return whether a table lists contacts: customers with a consent, or so named, and no orders.

    Examples
    --------
    >>> holds_contacts(["Kundennr", "E-Mail", "Newsletter"]), holds_contacts(["Email"], "Clients")
    (True, True)
    >>> holds_contacts(["Order ID", "Email", "Newsletter"])
    False
    """

    def has(*roles: str) -> bool:
        return any(name_score(role, header) >= LEAST for role in roles for header in names)

    names = [*names]
    is_told = table_by_name(name) == "customers" or states_consent(names)
    is_sale = has("order_id", "product_id", "amount", "unit_price")
    return is_told and has("email", "customer_id") and not is_sale


def states_consent(names: Iterable[str]) -> bool:
    """Return whether one of a table's columns is a consent."""
    return any(map(consent_meaning, names))


def put_together(parts: list[Part], given: Mapping) -> tuple[dict[str, RawTable], list[str]]:
    """Tell the tables of several files, and append files that hold the same table.

    A file whose table is neither given nor told by its layout or name is left out, with a note.
    Where a preset is set and a file has none of its layouts, or files of orders have different
    ones, a `SourceError` is raised.
    """
    notes: list[str] = []
    by_table: dict[str, list[tuple[Part, Layout | None]]] = {}
    told = [part for part in parts if part.default or find_layout(part.read.frame.columns, None)]
    for part in [*told, *(part for part in parts if part not in told)]:
        names = part.read.frame.columns
        preset = given.option(part.table or "orders", "preset")
        layout = find_layout(names, preset, part.name)
        if layout is None and preset not in (None, "none") and part.table in (None, "orders"):
            raise missing_layout(names, preset, part.name or "the frame")
        if layout is not None and part.table not in (None, layout.table):
            layout = None
        table = part.table or (layout.table if layout else part.default)
        if table is None and holds_contacts(names):
            table = "customers"
            notes.append(f"customers: {part.name}, by its columns")
        if table is None:
            notes.append(
                f"{part.name} is not read: neither its columns nor its name tell which table it "
                "holds (name it orders.csv, customers.csv, events.csv, products.csv, ...)"
            )
            continue
        by_table.setdefault(table, []).append((part, layout))
    tables = {table: _append(table, listed, given, notes) for table, listed in by_table.items()}
    _add_second_tables(by_table, tables, given, notes)
    return tables, notes


def _append(
    table: str, listed: list[tuple[Part, Layout | None]], given: Mapping, notes: list[str]
) -> RawTable:
    """Make one frame of the files of one table."""
    if len(listed) == 1:
        return listed[0][0].read
    names = ", ".join(part.name for part, _ in listed)
    notes.append(f"{table}: {counted(len(listed), 'file')} appended: {names}")
    notes += [f"{table}: {note}" for part, _ in listed for note in part.read.notes]
    headers = {frozenset(part.read.frame.columns) for part, _ in listed}
    layouts = {f"{layout.title} {layout.kind}" if layout else "" for _, layout in listed}
    frames = [part.read.frame for part, _ in listed]
    constants = any(layout and layout.constants for _, layout in listed)
    if table == "orders" and (len(layouts) > 1 or (len(headers) > 1 and not any(layouts))):
        raise _several_orders([part.name for part, _ in listed], [one for _, one in listed])
    if all(layouts) and (len(layouts) > 1 or constants):
        frames = [_in_our_words(part, layout) for part, layout in listed if layout is not None]
    elif len(headers) > 1 and not all(layouts):
        shown = " and ".join(part.name for part, _ in listed[:2])
        raise SourceError(
            f"{table}: {shown} have different columns; expected files of one table to have the "
            "same, or give one of them"
        )
    if any(frame.schema != frames[0].schema for frame in frames):
        frames = [frame.cast(dict.fromkeys(frame.columns, pl.String)) for frame in frames]
    if len(headers) == 1 and table == "orders":
        layout = listed[0][1]
        own = given.tables.get(table, TableMapping()).columns
        settled = layout_mapping(layout, frames[0]).columns if layout else {}
        frames = _in_last_state(frames, settled | own, [part.name for part, _ in listed], notes)
    if len(headers) == 1 and table in ("orders", "events"):
        frames, repeated = _without_overlap(frames)
        if repeated:
            notes.append(
                f"{table}: {counted(repeated, 'row')} of these files "
                f"{'stands' if repeated == 1 else 'stand'} in an earlier one too, equal in every "
                "column; counted once"
            )
    return RawTable(pl.concat(frames, how="diagonal"))


def _without_overlap(frames: list[pl.DataFrame]) -> tuple[list[pl.DataFrame], int]:
    """Leave out of each frame the rows that an earlier one has, as where two periods overlap."""
    kept = [frames[0]]
    repeated = 0
    for frame in frames[1:]:
        earlier = pl.concat(kept, how="diagonal").unique()
        new = frame.join(
            earlier, on=frame.columns, how="anti", nulls_equal=True, maintain_order="left"
        )
        repeated += frame.height - new.height
        kept.append(new)
    return kept, repeated


def _in_last_state(
    frames: list[pl.DataFrame], columns: dict[str, str], names: list[str], notes: list[str]
) -> list[pl.DataFrame]:
    """Take orders that several files hold from the last, as where periods overlap.

    An order is the same where customer and time agree, and one of its products with its quantity.
    The last file is that with the latest time.
    """
    for role in (*_SAME, "status"):
        scores = {name: name_score(role, name) for name in frames[0].columns}
        best = max(scores, key=lambda name: scores[name], default="")
        if role not in columns and best not in columns.values() and scores.get(best, 0) >= LEAST:
            columns = {**columns, role: best}
    same = [columns[role] for role in _SAME if role in columns]
    order, when = columns.get("order_id"), columns.get("order_time")
    if order is None or when is None or len(same) < 3 or not {*same} <= {*frames[0].columns}:
        return frames
    numbered = (frame.with_columns(pl.lit(i).alias("\0file")) for i, frame in enumerate(frames))
    whole = pl.concat(numbered, how="diagonal")
    mapped = Mapping({"orders": TableMapping({"order_time": when})})
    times = whole.select("\0file", time=Columns("orders", whole, mapped).time("order_time")[0])
    ends = times.group_by("\0file").agg(pl.col("time").max(), first=pl.col("time").min())
    ranked = ends.sort("time", "first")["\0file"].to_list()
    kept, changed = dict(enumerate(frames)), 0
    for place, earlier in enumerate(ranked):
        for later in ranked[place + 1 :]:
            old, new = kept[earlier], frames[later]
            again = old.join(new, on=same, how="semi", nulls_equal=True).select(order)
            there = old.join(again, on=order, how="semi")
            differ = there.join(new, on=old.columns, how="anti", nulls_equal=True).select(order)
            changed += differ.n_unique()
            kept[earlier] = old.join(differ, on=order, how="anti", maintain_order="left")
    if changed and ends.select("time", "first").is_duplicated().any():
        raise SourceError(
            f"orders: {' and '.join(names)} hold {counted(changed, 'order')} in different states, "
            "and end at the same time; leave the later export alone in the folder"
        )
    if changed:
        notes.append(
            f"orders: {counted(changed, 'order')} of these files "
            f"{'stands' if changed == 1 else 'stand'} in a later one in another state, which holds"
        )
    return [kept[place] for place in range(len(frames))]


_SAME = ("order_id", "order_time", "customer_id", "email", "product_id", "quantity", "unit_price")


def _several_orders(names: list[str], layouts: list[Layout | None]) -> SourceError:
    """Return the error for orders in several layouts, which could hold the same sales twice."""
    shown = ", ".join(
        name if layout is None else f"{name} ({layout.title} {layout.kind})"
        for name, layout in zip(names, layouts, strict=True)
    )
    return SourceError(
        f"orders: {shown} have different columns, and the same sales may stand in more than one "
        "of them; leave one file of orders in the folder, or files of the same layout, or say "
        'which it is: {"orders": path, ...}'
    )


def _in_our_words(part: Part, layout: Layout) -> pl.DataFrame:
    """Give a frame the contract's names and words, so that it can be appended to others."""
    frame = part.read.frame
    mapped = layout_mapping(layout, frame)
    columns = []
    for ours, theirs in mapped.columns.items():
        cells = pl.col(theirs).cast(pl.String)
        words = words_of(mapped.values.get(ours, {}))
        if words:
            low = {word.lower(): meant for word, meant in words.items()}
            cells = cells.str.strip_chars().str.to_lowercase().replace(low)
        columns.append(cells.alias(ours))
    constants = words_of(mapped.constants)
    return frame.select(*columns, *(pl.lit(word).alias(n) for n, word in constants.items()))


def _add_second_tables(
    by_table: dict[str, list[tuple[Part, Layout | None]]],
    tables: dict[str, RawTable],
    given: Mapping,
    notes: list[str],
) -> None:
    """Add tables that other files hold beside their own, and say what files were recognised as."""
    for table, listed in by_table.items():
        layout = listed[0][1]
        if layout is None or any(other is not layout for _, other in listed):
            for part, one in listed:
                if one is not None:
                    part_mapping = layout_mapping(one, part.read.frame)
                    notes.append(f"{table}: {part.name}: {describe_layout(one, part_mapping)}")
            continue
        settled = preset_part(table, tables[table].frame, given, listed[0][0].name)
        if settled is not None:
            notes.append(f"{table}: {describe_layout(*settled)}")
        second = second_table(layout, tables[table].frame)
        if second is not None and second[0] not in by_table:
            tables[second[0]] = RawTable(second[1])
            notes.append(
                f"{second[0]}: {counted(second[1].height, 'customer')} with what their latest "
                f"order says of them ({', '.join(second[1].columns[1:])})"
            )


def is_file_of_table(path: Path, endings: tuple[str, ...]) -> bool:
    """Return whether a folder's entry is a file that can hold a table."""
    hidden = path.name.startswith((".", "~", "_"))
    return path.is_file() and not hidden and path.name.lower().endswith(endings)
