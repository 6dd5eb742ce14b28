"""Features of single customers from their raw rows, by the code that makes customer tables.

Which features the code allows depends on what all customers' rows hold: the types of event, the
channels, the first day. A reference customer, whose rows hold what a model was fitted on, stands
beside the customers asked about and is dropped from the result.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from segkit.cluster import SegmentModel
from segkit.errors import ModelError, SegkitError
from segkit.features import rebuild_features
from segkit.features.definitions import WINDOW
from segkit.features.events import STEPS
from segkit.features.sources import slugs
from segkit.live.serve.bodies import (
    EPOCH,
    EVENT_COLUMNS,
    ORDER_COLUMNS,
    REQUIRED,
    ROWS,
    CustomerData,
    FieldError,
    read_rows,
)
from segkit.predict import PropensityModel, ValueModel
from segkit.schema import DTYPES, EVENT_TYPES
from segkit.scoring import add_forecasts

REFERENCE = "reference"
TREND_DAYS = 90  # of trends without a window
# Columns of the events without which these features come out otherwise, by the same definition.
SILENT = {
    "event_time": [step for step, *_ in STEPS],
    "campaign_id": ["emails_opened", "emails_clicked", "open_rate", "click_rate"],
}
# Features that set a customer beside all others of the table.
RELATIVE = re.compile(r"_affinity_")


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Raw rows to features and forecasts, for the models of one segmentation.

    Attributes
    ----------
    model : SegmentModel
    value : ValueModel or None
    churn : PropensityModel or None
    types : tuple of str
        Event types of the reference customer.
    order_columns, event_columns : tuple of str
        Columns of the frames.
    needed : dict of str to tuple of str
        "orders" and "events": columns that each row must state.
    needs_events : bool
    """

    model: SegmentModel
    value: ValueModel | None
    churn: PropensityModel | None
    types: tuple[str, ...] = EVENT_TYPES
    order_columns: tuple[str, ...] = ORDER_COLUMNS
    event_columns: tuple[str, ...] = EVENT_COLUMNS
    needed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs_events: bool = True

    @classmethod
    def of(
        cls, model: SegmentModel, value: ValueModel | None, churn: PropensityModel | None
    ) -> Histories:
        """Find what the models need of raw rows, by trying without each.

        Raises
        ------
        ModelError
            If the model's features cannot be made from one customer's rows.
        """
        undefined = [name for name in model.features if name not in model.definitions]
        if undefined:
            raise ModelError(f"the model does not define {', '.join(undefined)}")
        bare = cls(model, value, churn)
        relative = [name for name in bare._names() if RELATIVE.search(name)]
        if relative:
            raise ModelError(
                f"{', '.join(relative)} depends on all other customers, not on one alone"
            )
        whole = bare._find_context()
        names = {WINDOW.sub("", name) for name in whole._names()}
        silent = [column for column, features in SILENT.items() if names & set(features)]
        needed = {
            table: tuple(
                column
                for column in columns
                if column not in REQUIRED[table]
                and (column in silent or not whole._without(column)._works())
            )
            for table, columns in (("orders", ORDER_COLUMNS), ("events", whole.event_columns))
        }
        alone = replace(whole, event_columns=(), needed=needed, needs_events=False)
        return alone if alone._works() else replace(whole, needed=needed)

    def _find_context(self) -> Histories:
        """Find the event types and columns under which features are defined as in the model."""
        unsent = tuple(kind for kind in EVENT_TYPES if kind != "email_sent")
        unnamed = tuple(name for name in EVENT_COLUMNS if name != "campaign_id")
        error: SegkitError | None = None
        for types, columns in itertools.product((EVENT_TYPES, unsent), (EVENT_COLUMNS, unnamed)):
            whole = replace(self, types=types, event_columns=columns)
            try:
                whole._build([], [], whole._day)
            except SegkitError as caught:
                error = error or caught
                continue
            return whole
        raise ModelError(f"the model's features cannot be made from raw rows: {error}")

    def _without(self, column: str) -> Histories:
        orders, events = (
            tuple(name for name in columns if name != column)
            for columns in (self.order_columns, self.event_columns)
        )
        return replace(self, order_columns=orders, event_columns=events)

    @property
    def _day(self) -> date:
        return self.model.as_of or date(2025, 1, 1)

    def _works(self) -> bool:
        """Whether features and forecasts can be made from these columns."""
        try:
            self._forecast(*self._build([], [], self._day)[:3], self._day, {})
        except SegkitError:
            return False
        return True

    def describe(self, customers: Sequence[CustomerData]) -> pl.DataFrame:
        """Describe, assign and forecast customers by their raw rows.

        Parameters
        ----------
        customers : sequence of CustomerData
            With orders.

        Returns
        -------
        polars.DataFrame
            One row per customer, in their order: what ``model.score`` gives, the model's columns,
            what the models of value and churn expect, and reason: why there is no segment.

        Raises
        ------
        FieldError
            If a row lacks a column that a model needs, or holds what it cannot.
        """
        parts = []
        for day in dict.fromkeys(one.as_of for one in customers):
            assert day is not None  # noqa: S101 - read_customer has seen to it
            places = [place for place, one in enumerate(customers) if one.as_of == day]
            parts.append(self._describe({str(place): customers[place] for place in places}, day))
        frame = pl.concat(parts, how="diagonal_relaxed")
        return frame.sort(pl.col("customer_id").cast(pl.Int64))

    def _describe(self, customers: Mapping[str, CustomerData], day: date) -> pl.DataFrame:
        orders, events = [], []
        for key, one in customers.items():
            listed = read_rows(one.orders or [], "orders", one.loc, self.needed["orders"])
            orders += [{"customer_id": key, **row} for row in listed]
            if self.needs_events and one.events is None:
                message = "missing, and the model needs them; [] where there are none"
                raise FieldError((*one.loc, "events"), message)
            listed = read_rows(one.events or [], "events", one.loc, self.needed["events"])
            events += [{"customer_id": key, **row} for row in listed]
        attributes = {key: self._read_attributes(one) for key, one in customers.items()}
        frame, order_rows, event_rows = self._build(orders, events, day)
        ids = pl.Series("customer_id", list(customers), dtype=pl.String)
        scores = self.model.score(frame.filter(pl.col("customer_id") != REFERENCE))
        features = frame.select("customer_id", *self.model.columns)
        scores = scores.join(features, on="customer_id", how="left", maintain_order="left")
        scores = self._forecast(scores, order_rows, event_rows, day, attributes)
        described = ids.to_frame().join(scores, on="customer_id", how="left", maintain_order="left")
        nobody = pl.lit(f"no purchase up to {day.isoformat()}")
        bought = pl.col("customer_id").is_in(frame["customer_id"].implode())
        return described.with_columns(reason=pl.when(bought).then("reason").otherwise(nobody))

    def _read_attributes(self, one: CustomerData) -> dict[str, Any]:
        names = () if self.churn is None else self.churn.attributes
        for name in one.attributes:
            if name not in names:
                message = f"unknown; expected {', '.join(names) or 'none: no model reads any'}"
                raise FieldError((*one.loc, "attributes", name), message)
        return {name: one.attributes.get(name) for name in names}

    def _build(
        self, orders: list[dict[str, Any]], events: list[dict[str, Any]], day: date
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
        """Build the features of customers and reference; return the frames they are made from."""
        reference_orders, reference_events = self._make_reference(day, len(orders), len(events))
        order_rows = _frame("orders", self.order_columns, itertools.chain(orders, reference_orders))
        event_rows = None
        if self.event_columns:
            rows = itertools.chain(events, reference_events)
            event_rows = _frame("events", self.event_columns, rows)
        table = rebuild_features(
            order_rows,
            event_rows,
            definitions={name: self.model.definitions[name] for name in self.model.features},
            columns=self.model.columns,
            as_of=day,
        )
        return table.frame, order_rows, event_rows

    def _make_reference(
        self, day: date, orders: int, events: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Make the reference customer's rows, before every window, with every level and type.

        Levels repeat more often than the rows of the customers, so that they are the commonest.
        """
        windows = [int(match[1]) for n in self._names() if (match := WINDOW.search(n))]
        first = (day - EPOCH).days - 2 * max([TREND_DAYS, *windows])
        levels = {column: self._levels(column) for column in ("channel", "category", "brand")}
        count = max(len(names) for names in levels.values())
        repeats = orders + 1 if count > 1 else 1
        bought = [
            {
                "order_id": f"{REFERENCE} {place}",
                "order_day": first,
                "amount": 1.0,
                "product_id": REFERENCE,
                **{column: names[place % len(names)] for column, names in levels.items()},
            }
            for place in range(count)
        ] * repeats
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=first)
        pages = self._levels("page")
        same = {"event_day": first, "event_time": time, "session_id": REFERENCE}
        acted = [
            {"event_type": kind, "campaign_id": REFERENCE, "page": page, **same}
            for kind, page in itertools.zip_longest(self.types, pages[: len(self.types)])
        ]
        acted += [{**acted[0], "page": page} for page in pages] * (events + 1)
        return tuple(
            [{"customer_id": REFERENCE, **row} for row in rows] for rows in (bought, acted)
        )  # type: ignore[return-value]

    def _names(self) -> tuple[str, ...]:
        return (*self.model.columns, *(self.churn.features if self.churn is not None else ()))

    def _levels(self, column: str) -> list[str]:
        """Return the values of a column that name features of the model, as its data wrote them."""
        stems = {"channel": ("channel_share_",), "page": ("time_seconds_",)}
        starts = stems.get(column, tuple(f"{column}_{part}_" for part in ("share", "recency_days")))
        spellings: dict[str, None] = {}
        for name in self._names():
            bare = WINDOW.sub("", name)
            start = next((one for one in starts if bare.startswith(one)), None)
            if start is not None:
                slug = bare.removeprefix(start)
                spellings |= dict.fromkeys(
                    self._spellings(slug, self.model.definitions.get(name, ""))
                )
        return list(spellings) or [REFERENCE]

    @staticmethod
    def _spellings(slug: str, definition: str) -> list[str]:
        """Return a level's names, which end the feature's definition; else its slug stands."""
        words = re.split(r" with page | line of | that is ", definition)[-1].split(" or ")
        return [word for word in words if slug in slugs([word])] or [slug]

    def _forecast(
        self,
        frame: pl.DataFrame,
        orders: pl.DataFrame,
        events: pl.DataFrame | None,
        day: date,
        attributes: Mapping[str, Mapping[str, Any]],
    ) -> pl.DataFrame:
        about = None
        if self.churn is not None and self.churn.attributes:
            rows = [{"customer_id": key, **values} for key, values in attributes.items()]
            rows.append({"customer_id": REFERENCE})
            about = pl.DataFrame(rows, infer_schema_length=None)
            missing = [name for name in self.churn.attributes if name not in about.columns]
            about = about.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
        return add_forecasts(
            frame, orders, events=events, customers=about, as_of=day, value=self.value,
            churn=self.churn,
        )  # fmt: skip


def _frame(table: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    listed = list(rows)
    schema: dict[str, pl.DataType] = {"customer_id": DTYPES["id"]}
    schema |= {name: DTYPES[ROWS[table][name].kind] for name in columns}
    data = {name: [row.get(name) for row in listed] for name in schema}
    return pl.DataFrame(data, schema=schema)
