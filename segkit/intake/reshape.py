"""Raw tables brought into shape: grouped reports, first lines of orders, times in two columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time as time_of_day
from functools import partial

import polars as pl

from segkit.display import counted
from segkit.intake.cells import is_text
from segkit.intake.dates import DATE_LIKE, formats
from segkit.intake.evidence import are_sums
from segkit.intake.headers import (
    WORDS,
    concepts,
    is_personal_number,
    names_recipient,
    pattern,
    plain,
)
from segkit.intake.mapping import TOTALS, Mapping, TableMapping, list_time_zones

FEWEST = 2  # groups that make a report
MOST_IN_TOTALS = 3  # cells of a row of totals beside its name: units, amount, balance


def spread_groups(frame: pl.DataFrame, title: str) -> tuple[pl.DataFrame, list[str]]:
    """Write the name of each group into its rows, and leave out lines of names and of totals.

    A table is a grouped report if its first column is empty on the rows, and filled on lines that
    hold nothing else, or a total named after the group. If ``title``, above the header, names
    customers, the column without a name is theirs. The frame is returned as it is where it is no
    such report.

    Examples
    --------
    >>> frame = pl.DataFrame({
    ...     "column 1": ["Ann", None, "Total for Ann", "Bea", None, "Total for Bea"],
    ...     "Date": [None, "2024-05-01", None] * 2, "Amount": [None, "7", "7", None, "5", "5"]})
    >>> spread_groups(frame, "Sales by Customer")[0].rows()
    [('Ann', '2024-05-01', '7'), ('Bea', '2024-05-01', '5')]
    """
    if frame.width < 3 or frame.height < 2 * FEWEST:
        return frame, []
    first, *others = frame.columns
    bare = pl.col(first).str.strip_chars()
    if frame.select((bare == "").fill_null(value=True).sum()).item() < FEWEST:
        return frame, []
    few = frame.select(
        name=pl.when(bare != "").then(bare),
        filled=pl.sum_horizontal(
            (pl.col(name).str.strip_chars() != "").fill_null(value=False) for name in others
        ),
    )
    is_name = pl.col("name").is_not_null() & (pl.col("filled") == 0)
    low, group = pl.col("name").str.to_lowercase(), pl.col("group").str.to_lowercase()
    words = "|".join(word.replace(".", r"\.") for word in TOTALS)
    marked = few.with_columns(group=pl.when(is_name).then("name").forward_fill()).with_columns(
        is_name=is_name,
        is_row=pl.col("name").is_null() & (pl.col("filled") > 1),
        is_total=pl.col("name").is_not_null()
        & pl.col("filled").is_between(1, MOST_IN_TOTALS)
        & (low.str.contains(group, literal=True) | low.str.contains(rf"^(?:{words})\b")),
    )
    names = marked.filter("is_name", pl.col("name").shift(-1).is_null().fill_null(value=True))
    explained = marked.filter(
        pl.any_horizontal("is_name", "is_row", "is_total") | (pl.col("filled") == 0)
    )
    rows = int(marked["is_row"].sum())
    plain = marked.filter(pl.col("is_row") & pl.col("group").is_null()).height
    if names.height < FEWEST or rows < names.height or explained.height < marked.height or plain:
        return frame, []
    column = first
    if first.startswith("column ") and "customer" in concepts(title)[0]:
        column = "Customer"
    spread = frame.with_columns(marked["group"].alias(first)).filter(marked["is_row"])
    totals = int(marked["is_total"].sum())
    note = (
        f"a grouped report: {counted(names.height, 'name')} on lines of their own are written into "
        f"the {counted(rows, 'row')} below them, as {column!r}; "
        f"{counted(totals, 'row')} of totals left out"
    )
    return spread.rename({first: column}) if column not in others else spread, [note]


def filled_rows(frame: pl.DataFrame) -> pl.Series | None:
    """Mark the rows that hold anything; None if all of them do, or there is one column alone.

    Examples
    --------
    >>> filled_rows(pl.DataFrame({"a": ["x", " ", None], "b": [None, None, "y"]})).to_list()
    [True, False, True]
    """
    if frame.width < 2:
        return None
    filled = pl.Series([False]).new_from_index(0, frame.height)
    for cells in frame:
        there = cells.str.contains(r"\S") if cells.dtype == pl.String else cells.is_not_null()
        filled |= there.fill_null(value=False)
        if filled.all():
            return None
    return filled


MOST_EMPTY, LEAST_EMPTY = 0.95, 0.05  # of the rows that go on with the order above
MOSTLY = 0.9  # of the orders name a customer and a date


def fill_orders(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Write what stands on an order's first line alone, its number too, on the lines below it.

    What numbers the orders may have any header, where the rows below name products, too. Numbers,
    such as the order's total, stay where they are: they would count again.

    Examples
    --------
    >>> frame = pl.DataFrame({
    ...     "Order Reference": ["S1", None, "S2"], "Customer": ["Ann", None, "Bea"],
    ...     "Order Date": ["2024-05-01", None, "2024-05-02"], "Total": ["12", None, "5"],
    ...     "Product": ["cup", "pen", "cup"]})
    >>> fill_orders(frame)[0]["Customer", "Total"].rows()
    [('Ann', '12'), ('Ann', None), ('Bea', '5')]
    """
    shown = {
        name: (pl.col(name).str.strip_chars() != "").fill_null(value=False)
        if kind == pl.String
        else pl.col(name).is_not_null()
        for name, kind in frame.schema.items()
    }
    named = [*filter(partial(_numbers_orders, frame), frame.columns)]
    named.sort(key=lambda name: "payment" in concepts(name)[0])
    who = [name for name in frame.columns if "customer" in concepts(name)[0]]
    customers = frame.select(shown[name].alias(name) for name in who).get_columns()
    for order in (*named, *(name for name in frame.columns if name not in named)):
        first = frame.select(shown[order]).to_series()
        empty = 1 - float(first.mean() or 0)  # type: ignore[arg-type]
        if not LEAST_EMPTY < empty < MOST_EMPTY or not first[0]:
            continue
        if all((filled & ~first).any() for filled in customers):
            continue
        is_filled = frame.select(**shown)
        below = is_filled.filter(~first)
        heads = [name for name in frame.columns if not below[name].any()]
        on_most = is_filled.filter(first).select(pl.col(heads).mean() >= MOSTLY).row(0, named=True)
        meant = {concept for name in heads if on_most[name] for concept in concepts(name)[0]}
        is_line = pl.any_horizontal(pl.all().exclude(heads))
        is_blank = ~is_filled.select(pl.any_horizontal(pl.all())).to_series()
        if not {"customer", "date"} <= meant or not below.select(is_line).to_series().any():
            continue
        if order not in named and not _go_on(frame, order, first & ~is_blank, ~first & ~is_blank):
            continue
        filled = [name for name in heads if name == order or _is_no_sum(frame[name])]
        note = (
            f"{counted(int((~first & ~is_blank).sum()), 'row')} without {order!r} go on with the "
            f"order above them ({', '.join(map(repr, filled))})"
        )
        of_order = pl.col(filled).first().over("\0order")
        numbered = frame.with_columns(first.cum_sum().alias("\0order"), (~is_blank).alias("\0line"))
        return numbered.with_columns(pl.when("\0line").then(of_order)).select(frame.columns), [note]
    return frame, []


def _numbers_orders(frame: pl.DataFrame, name: str) -> bool:
    """Return whether a column names orders, by its header or by codes that are never the same."""
    meant = concepts(name)[0]
    if meant != {"order"} or frame[name].dtype.is_nested():
        return {"order", "id"} <= meant
    return _are_codes(frame[name])


def _are_codes(cells: pl.Series) -> bool:
    """Return whether cells with a digit are codes that are never the same."""
    codes = cells.cast(pl.String, strict=False).drop_nulls()
    codes = codes.filter(codes.str.contains(r"\d"))
    return codes.len() > 1 and codes.n_unique() == codes.len()


def _go_on(frame: pl.DataFrame, order: str, first: pl.Series, below: pl.Series) -> bool:
    """Return whether rows go on with the one above by what they hold, whatever numbers it.

    Both name products: texts that stand on nearly all rows of the one sort and of the other.
    """
    if frame[order].dtype.is_nested() or not _are_codes(frame[order]):
        return False
    texts = frame.select(pl.col(pl.String).str.extract(r"^\s*(\S*\p{L}.*)$"))
    return any(
        all(cells.filter(rows).count() >= MOSTLY * int(rows.sum()) for rows in (first, below))
        and cells.filter(below).n_unique() > 1
        for cells in texts
    )


def _is_no_sum(cells: pl.Series) -> bool:
    """Return whether what stands on an order's first line is of each line too: no sum of money."""
    if are_sums(cells.cast(pl.Float64, strict=False)):
        return False
    if {"customer", "phone", "id"} & concepts(cells.name)[0] or is_personal_number(cells.name):
        return True
    texts = r"\p{L}|\d[-/:.]\d+[-/:.]\d"
    return cells.dtype.is_temporal() or bool(cells.cast(pl.String).str.contains(texts).any())


# Number of rows by which a column's kind is told.
SAMPLE_ROWS = 1000
TIME_OF_DAY = r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)? ?([AaPp]\.?[Mm]\.?)?$"
TIME_WORDS, DATE_WORDS, ZONE_WORDS = pattern("time"), pattern("date"), pattern("zone")


def join_names(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Join first and last names where nothing else tells customers apart: no id, no address.

    Those of who receives the order are joined only where no others are there.

    Examples
    --------
    >>> frame = pl.DataFrame({"Vorname": ["Ann", "Bo"], "Nachname": ["Lee", "Lee"], "Nr": [1, 2]})
    >>> join_names(frame)[0]["Customer name"].to_list()
    ['Ann Lee', 'Bo Lee']
    """
    named = [concepts(name)[0] for name in frame.columns]
    if "Customer name" in frame.columns or any(
        "email" in meant or ("customer" in meant and "name" not in meant) for meant in named
    ):
        return frame, []
    for header, other in name_pairs(sorted(frame.columns, key=names_recipient)):
        both = pl.concat_str(pl.col(header, other).cast(pl.String).str.strip_chars(),
                             separator=" ", ignore_nulls=True)  # fmt: skip
        joined = frame.with_columns(pl.when(both != "").then(both).alias("Customer name"))
        return joined, [f"orders: {header!r} and {other!r} are joined to 'Customer name'"]
    return frame, []


def name_pairs(headers: list[str]) -> Iterator[tuple[str, str]]:
    """List the columns of first names with those of the last names beside them.

    Examples
    --------
    >>> list(name_pairs(["Buyer: first name", "Buyer: last name", "Email"]))
    [('Buyer: first name', 'Buyer: last name')]
    """
    by_name = {plain(name): name for name in reversed(headers)}
    for header in headers:
        words = plain(header).split("_")
        for first in words:
            for last in _LAST_NAMES.get(first, "").split():
                other = by_name.get("_".join(last if word == first else word for word in words))
                if other is not None and other != header:
                    yield header, other


def join_parties(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Take the other party's address, where the shop's own account is on either side of each row.

    Examples
    --------
    >>> frame = pl.DataFrame({"From Email": ["a@x.org", "shop@x.org", "b@x.org"],
    ...                       "To Email": ["shop@x.org", "a@x.org", "shop@x.org"]})
    >>> join_parties(frame)[0]["Customer email"].to_list()
    ['a@x.org', 'a@x.org', 'b@x.org']
    """
    by_name = {plain(name): name for name in frame.columns if frame.schema[name] == pl.String}
    for name, header in by_name.items():
        words = name.split("_")
        for one, two in (pair for pair in _PARTIES if pair[0] in words):
            other = by_name.get("_".join(two if word == one else word for word in words))
            if other is None or "Customer email" in frame.columns:
                continue
            sides = [pl.col(side).str.to_lowercase() for side in (header, other)]
            both = frame.select(first=sides[0], second=sides[1])
            filled = both.filter(pl.any_horizontal(pl.all().str.contains("@")))
            accounts = pl.concat([filled["first"], filled["second"]]).alias("own").drop_nulls()
            counts = accounts.value_counts().sort("count", "own")
            if not filled.height or int(counts["count"][-1]) < OWN_ACCOUNT * filled.height:
                continue
            own = counts["own"][-1]
            party = [pl.when(side != own).then(side) for side in sides]
            joined = frame.with_columns(pl.coalesce(*party).alias("Customer email"))
            note = f"orders: 'Customer email' is the other party in {header!r} and {other!r}"
            return joined, [f"{note}; the shop's own account is on the other side"]
    return frame, []


OWN_ACCOUNT = 0.9  # of the rows name it, as the one side or the other
_PARTIES = [tuple(pair.split()) for pair in WORDS["parties"]["pairs"]]
_LAST_NAMES: dict[str, str] = WORDS["first_names"]


def join_times(
    frame: pl.DataFrame, mapping: Mapping, table: str
) -> tuple[pl.DataFrame, str | None, list[str]]:
    """Replace a column of dates and one of times of day by one column of times.

    Nothing is joined if the mapping names one of the two columns itself. Times in a column whose
    name ends in "(UTC)" are marked as such. Also returned is the time zone that a column of zones
    states for all rows.

    Examples
    --------
    >>> till = pl.DataFrame({"Date": ["2024-05-01"], "Time": ["09:24"], "Time Zone": ["Tokyo"]})
    >>> frame, zone, _ = join_times(till, Mapping(), "orders")
    >>> frame.columns, frame["Date Time"][0], zone
    (['Date Time', 'Time Zone'], '2024-05-01 09:24', 'Asia/Tokyo')
    """
    frame = _in_utc(frame)
    used = set(mapping.tables.get(table, TableMapping()).columns.values())
    pair = _pair([name for name in frame.columns if name not in used], frame)
    if pair is None:
        return frame, None, []
    date, time = pair
    name = f"{date} {time}"
    if name in frame.columns:
        return frame, None, []
    joined = pl.concat_str(_texts(frame, date), _texts(frame, time), separator=" ")
    cells = frame.select(pl.coalesce(joined, _texts(frame, date)).alias(name)).to_series()
    place = frame.columns.index(date)
    whole = _in_utc(frame.drop(date, time).insert_column(min(place, frame.width - 2), cells))
    note = f"{table}: {date!r} and {time!r} are read as one time, {name!r}"
    note += " (to change it, map one of the two)"
    zone, changes = _zone(whole, table)
    return whole, None if mapping.is_set(table, "timezone") else zone, [note, *changes]


# "Created (UTC)", "created_gmt", no "GMT+8"; times of day are joined with their dates first.
_UTC = re.compile(r"(?i)(?:^|[^a-z])(?:utc|gmt)(?![a-z]|\s*[-+−]\s*\d)")
_DAY_AND_TIME = r"\d\D.*[\sT]\d{1,2}:\d\d(:\d\d(\.\d+)?)?$"


def _in_utc(frame: pl.DataFrame) -> pl.DataFrame:
    """Write "UTC" behind the times of columns whose names say so, as in "Created (UTC)"."""
    named = [
        name
        for name in frame.columns
        if _UTC.search(name) and _all_match(frame[name], _DAY_AND_TIME)
    ]
    bare = pl.col(named).str.strip_chars()
    ends = bare.str.contains(r"\d:\d\d(:\d\d(\.\d+)?)?$")
    return frame.with_columns(pl.when(ends).then(bare + " UTC").otherwise(bare)) if named else frame


def _texts(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Write dates and times of day as text."""
    dtype = frame.schema[name]
    column = pl.col(name).dt.date() if isinstance(dtype, pl.Datetime) else pl.col(name)
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)


def _pair(names: list[str], frame: pl.DataFrame) -> tuple[str, str] | None:
    """Find a column of times of day, and the column of dates that belongs to it."""
    times = [
        name
        for name in names
        if re.search(TIME_WORDS, name)
        and (frame.schema[name] == pl.Time or _all_match(frame[name], TIME_OF_DAY))
    ]
    dates = [name for name in names if _holds_dates(frame[name])] if times else []
    times = [name for name in times if name not in dates]
    for time in times:
        stem = re.sub(TIME_WORDS, "", time).strip(" _-.")
        place = frame.columns.index(time)
        for date in dates:
            alike = re.sub(DATE_WORDS, "", date).strip(" _-.").lower() == stem.lower()
            if alike or abs(frame.columns.index(date) - place) == 1 or len(dates) == 1:
                return date, time
    return None


def _holds_dates(cells: pl.Series) -> bool:
    """Return whether a column holds dates without a time of day."""
    if isinstance(cells.dtype, pl.Datetime):
        given = cells.drop_nulls()
        return given.len() > 0 and given.dt.time().unique().to_list() == [time_of_day(0)]
    if cells.dtype == pl.Date:
        return True
    if not _all_match(cells, DATE_LIKE):
        return False
    sample = cells.head(SAMPLE_ROWS).cast(pl.String).drop_nulls()
    return bool(formats(sample, day_first=True)) and not sample.str.contains(r"\d:\d\d").any()


def _all_match(cells: pl.Series, pattern: str) -> bool:
    """Return whether a column of text matches a pattern in nearly all cells that are not empty."""
    if not is_text(cells.dtype):
        return False
    sample = pl.col("cell").cast(pl.String).str.strip_chars()
    given = sample.filter(sample != "")
    counts = (given.str.contains(pattern).sum(), given.len().alias("given"))
    matched, number = cells.head(SAMPLE_ROWS).to_frame("cell").select(counts).row(0)
    return bool(number > 0 and matched >= 0.95 * number)


def _zone(frame: pl.DataFrame, table: str) -> tuple[str | None, list[str]]:
    """Return the zone that a column states, if it is one known zone for all rows."""
    named = [name for name in frame.columns if re.match(ZONE_WORDS, name)]
    if not named:
        return None, []
    cells = frame[named[0]].unique().cast(pl.String).str.strip_chars()
    stated = sorted(cells.filter(cells != "").unique())
    zones = [known_zone(item) for item in stated]
    if len(set(zones)) == 1 and zones[0]:
        note = f"{table}: times are read in {zones[0]}, as {named[0]!r} says (timezone)"
        return zones[0], [note]
    if not stated:
        return None, []
    note = f"{table}: {named[0]!r} names {counted(len(stated), 'zone')} ({', '.join(stated[:4])}); "
    return None, [note + "every time is read as the clock showed it (timezone)"]


def known_zone(name: str) -> str | None:
    """Find the IANA zone of a name as shop systems write it.

    Examples
    --------
    >>> known_zone("Eastern Time (US & Canada)"), known_zone("Dublin"), known_zone("Atlantis")
    ('America/New_York', 'Europe/Dublin', None)
    """
    zones = list_time_zones()
    if name in zones:
        return name
    if name in WORDS["rails"]:
        return str(WORDS["rails"][name])
    city = name.replace(" ", "_")
    cities = [zone for zone in zones if zone.rpartition("/")[2] == city and "/" in zone]
    return cities[0] if len(cities) == 1 else None
