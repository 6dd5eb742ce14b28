"""Durable state of triggers in SQLite: customers, waiting events, positions, outputs to deliver."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import ModelError, WriteError
from segkit.live.triggers.engine import Event, State
from segkit.live.triggers.rules import TriggerRules
from segkit.writing import private_folder

FORMAT = 1
TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE customers (
    customer TEXT PRIMARY KEY, lane INTEGER NOT NULL, due INTEGER, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX timers ON customers (lane, due) WHERE due IS NOT NULL;
CREATE TABLE waiting (
    lane INTEGER, time INTEGER, customer TEXT, rank INTEGER, ident TEXT, kind TEXT, fields TEXT,
    PRIMARY KEY (lane, time, customer, rank, ident)
) WITHOUT ROWID;
CREATE TABLE outputs (
    stream TEXT, place INTEGER, body TEXT NOT NULL, PRIMARY KEY (stream, place)
) WITHOUT ROWID;
"""
MANY = 500


class Store:
    """State of one run of triggers in a folder.

    Everything that a batch of messages changes is written in one transaction; a process that is
    killed leaves the state before the batch or after it.

    Parameters
    ----------
    folder : path
        Made if it is absent; readable by its owner alone.
    rules : TriggerRules

    Raises
    ------
    ModelError
        If the folder's state was made by other rules, or by another format of segkit.
    WriteError
        If the state cannot be written: a full disk, a folder without permission.
    """

    def __init__(self, folder: Path, rules: TriggerRules) -> None:
        self.path = folder / "state.sqlite"
        with self.guarded():
            private_folder(folder)
            self.path.touch(0o600)
            self.base = sqlite3.connect(self.path, timeout=0.5, isolation_level=None)
            try:
                self.base.execute("PRAGMA locking_mode = EXCLUSIVE")
                self.base.execute("PRAGMA journal_mode = WAL")
                self.base.execute("PRAGMA synchronous = FULL")
                self.base.execute("PRAGMA cache_size = -65536")
                self.about = self._open(rules)
            except BaseException:
                self.base.close()
                raise

    def _open(self, rules: TriggerRules) -> dict[str, Any]:
        """Read what the state says of itself, or begin one; refuse that of other rules."""
        own = {"format": FORMAT, "version": rules.version, "rules": rules.digest}
        fresh = not self.base.execute("SELECT 1 FROM sqlite_master").fetchone()
        if fresh:
            with self.transaction():
                for statement in TABLES.split(";"):
                    self.base.execute(statement)
                self._put(own)
        about = {
            name: json.loads(value) for name, value in self.base.execute("SELECT * FROM about")
        }
        if about["format"] != FORMAT:
            raise ModelError(
                f"{self.path} is of format {about['format']}; this segkit reads format {FORMAT}"
            )
        if (about["version"], about["rules"]) != (rules.version, rules.digest):
            changed = (
                f"version {about['version']} of the rules, these are version {rules.version}"
                if about["version"] != rules.version
                else f"other rules of the same version {rules.version}; raise the version"
            )
            raise ModelError(
                f"{self.path} was made by {changed}. Give the new rules another folder (--out), "
                "and let them read the log from its beginning"
            )
        return about

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences."""
        try:
            yield
        except sqlite3.OperationalError as error:
            busy = "locked" in str(error)
            why = "another process runs these triggers" if busy else f"{error} (is the disk full?)"
            why += "; what was read before is kept"
            raise WriteError(None, why, str(self.path)) from error
        except sqlite3.DatabaseError as error:
            raise ModelError(f"{self.path} is no state of triggers: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing."""
        with self.guarded():
            self.base.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.base.execute("COMMIT")
            except BaseException:
                if self.base.in_transaction:
                    self.base.execute("ROLLBACK")
                raise

    def _put(self, values: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value, sort_keys=True)) for name, value in values.items()]
        self.base.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    def customers(self, wanted: Iterable[str]) -> dict[str, State]:
        """Return the states of customers; who has none is left out."""
        ids = list(wanted)
        states: dict[str, State] = {}
        for first in range(0, len(ids), MANY):
            part = ids[first : first + MANY]
            marks = ",".join("?" * len(part))
            rows = self.base.execute(
                f"SELECT customer, state, due FROM customers WHERE customer IN ({marks})",  # noqa: S608
                part,
            )
            states.update((customer, State.read(text, due)) for customer, text, due in rows)
        return states

    def cut(self, lane: int, until: int, limit: int) -> int | None:
        """Return a time before ``until`` with some ``limit`` timers or waiting events up to it.

        None if there are fewer.
        """
        times: list[int] = []
        for table, column in (("waiting", "time"), ("customers", "due")):
            row = self.base.execute(
                f"SELECT {column} FROM {table} WHERE lane = ? AND {column} < ? "  # noqa: S608
                f"ORDER BY {column} LIMIT 1 OFFSET ?",
                (lane, until, limit - 1),
            ).fetchone()
            times += row or ()
        return min(times, default=None)

    def due(self, lane: int, until: int) -> list[str]:
        """Return the customers of a lane whose timers are due before a time."""
        rows = self.base.execute(
            "SELECT customer FROM customers WHERE lane = ? AND due < ?", (lane, until)
        )
        return [customer for (customer,) in rows]

    def waiting(self, lane: int, until: int) -> list[Event]:
        """Return the events of a lane that waited, up to a time."""
        rows = self.base.execute(
            "SELECT time, rank, ident, customer, kind, fields FROM waiting "
            "WHERE lane = ? AND time < ?",
            (lane, until),
        )
        return [Event(*(*row[:5], json.loads(row[5]))) for row in rows]

    def save_customers(self, lane: int, states: Mapping[str, State]) -> None:
        """Write the states of customers."""
        rows = ((name, lane, state.due, state.write()) for name, state in sorted(states.items()))
        self.base.executemany("INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?)", rows)

    def drop_waiting(self, lane: int, until: int) -> None:
        """Drop the events of a lane before a time."""
        self.base.execute("DELETE FROM waiting WHERE lane = ? AND time < ?", (lane, until))

    def save_waiting(self, lane: int, events: Iterable[Event]) -> int:
        """Add events that wait; return how many of them were there already."""
        rows = [
            (lane, e.time, e.customer, e.rank, e.ident, e.kind, json.dumps(e.fields))
            for e in events
        ]
        changes = self.base.total_changes
        self.base.executemany("INSERT OR IGNORE INTO waiting VALUES (?,?,?,?,?,?,?)", rows)
        return len(rows) - (self.base.total_changes - changes)

    def save(
        self, about: Mapping[str, Any], outputs: Mapping[str, tuple[int, list[dict[str, Any]]]]
    ) -> None:
        """Write positions, counts and cursors, and outputs with the place of the first."""
        self._put(about)
        self.about.update(about)
        for stream, (first, records) in outputs.items():
            rows = (
                (stream, place, json.dumps(record, ensure_ascii=False))
                for place, record in enumerate(records, first)
            )
            self.base.executemany("INSERT INTO outputs VALUES (?, ?, ?)", rows)

    def outputs(self, stream: str, first: int, limit: int = 10_000) -> list[str]:
        """Return outputs that are to be delivered, from a place on."""
        rows = self.base.execute(
            "SELECT body FROM outputs WHERE stream = ? AND place >= ? ORDER BY place LIMIT ?",
            (stream, first, limit),
        )
        return [body for (body,) in rows]

    def forget_outputs(self, stream: str, until: int) -> None:
        """Drop outputs that every sink has."""
        self.base.execute("DELETE FROM outputs WHERE stream = ? AND place < ?", (stream, until))

    def unlisted(self, listed: Container[str]) -> int:
        """Return how many customers are not in a list."""
        rows = self.base.execute("SELECT customer FROM customers")
        return sum(customer not in listed for (customer,) in rows)

    def segments(self) -> pl.DataFrame:
        """Return each customer's segment: customer_id, segment."""
        rows = self.base.execute("SELECT customer, state FROM customers ORDER BY customer")
        named = [(customer, json.loads(text)[4]) for customer, text in rows]
        schema = {"customer_id": pl.String, "segment": pl.String}
        return pl.DataFrame(named, schema=schema, orient="row")

    def sizes(self) -> pl.DataFrame:
        """Return the customers of each segment: segment, customers."""
        rows = self.base.execute(
            "SELECT json_extract(state, '$[4]'), COUNT(*) FROM customers GROUP BY 1 ORDER BY 1"
        ).fetchall()
        schema = {"segment": pl.String, "customers": pl.Int64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        return int(self.base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608

    def close(self) -> None:
        """Close the database."""
        self.base.close()
