"""Features of new data, by the definitions that a model was fitted on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import get_args

import polars as pl

from segkit.errors import ModelError
from segkit.features.build import FeaturePlan, Monetary, plan_features
from segkit.features.table import CustomerTable
from segkit.frames import takes_frames

__all__ = ["rebuild_features"]

WINDOW = re.compile(r"_(\d+)d$")
CALENDAR = re.compile(r"calendar '(\w+)'")


@takes_frames
def rebuild_features(
    orders: pl.DataFrame,
    events: pl.DataFrame | None = None,
    *,
    definitions: Mapping[str, str],
    columns: Sequence[str],
    as_of: date | None = None,
) -> CustomerTable:
    """Build the features that a model needs, as they were defined when it was fitted.

    Parameters
    ----------
    orders, events : polars.DataFrame
        Clean order lines and events, as for `build_features`.
    definitions : mapping of str to str
        Each feature's definition in words, as the model stores it.
    columns : sequence of str
        The model's columns (``model.columns``).
    as_of : datetime.date, optional
        Last day that is used; by default that of the last order.

    Returns
    -------
    CustomerTable

    Raises
    ------
    ModelError
        If a feature would be defined otherwise today.

    Examples
    --------
    >>> from segkit.features import build_features
    >>> orders = pl.DataFrame({"customer_id": ["a", "b"], "order_id": ["1", "2"],
    ...     "order_day": [19_700, 19_710], "amount": [20.0, 30.0]})
    >>> table = build_features(orders, features=["recency_days"])
    >>> words = dict(table.definitions.select("name", "description").iter_rows())
    >>> words = {"recency_days": words["recency_days"]}
    >>> rebuild_features(orders, definitions=words, columns=["recency_days"]).frame.height
    2
    """
    plan = plan_rebuilt(orders, events, definitions=definitions, columns=columns, as_of=as_of)
    return plan.table(*plan.compute(plan.tables))


def plan_rebuilt(
    orders: pl.DataFrame | pl.LazyFrame,
    events: pl.DataFrame | pl.LazyFrame | None,
    *,
    definitions: Mapping[str, str],
    columns: Sequence[str],
    as_of: date | None,
) -> FeaturePlan:
    """Settle how a model's features are built again; see `rebuild_features`."""
    calendars = [CALENDAR.search(definition) for definition in definitions.values()]
    calendar = next((match.group(1) for match in calendars if match), "north")
    windows = sorted(
        {int(match.group(1)) for name in definitions if (match := WINDOW.search(name))}
    )
    stems = sorted({WINDOW.sub("", name) for name in columns})
    for policy in get_args(Monetary):
        plan = plan_features(
            orders,
            events,
            as_of=as_of,
            windows=windows,
            calendar=calendar,
            monetary=policy,
            features=stems,
        )
        own = dict(plan.empty.definitions.select("name", "description").iter_rows())
        differ = [name for name, words in definitions.items() if own.get(name) != words]
        if not differ:
            return plan
    raise ModelError(
        f"{differ[0]} is now defined as {own.get(differ[0], 'absent')!r}; the model was fitted on "
        f"{definitions[differ[0]]!r}"
    )
