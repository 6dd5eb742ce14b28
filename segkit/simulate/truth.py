"""What was planted? Drivers, elasticities, true lifts and settings as tables."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segkit.simulate.archetypes import (
    ARCHETYPES,
    DIFFICULTIES,
    DRIVERS,
    GENERATOR_VERSION,
    OFFERS,
    TRAITS,
)
from segkit.simulate.campaign import conversion
from segkit.simulate.survey import items
from segkit.simulate.world import World

NEEDED = (
    "archetype",
    "writable",
    "best_offer",
    "natural_orders",
    "orders_per_year",
    "items_per_order",
    "price_elasticity",
)
"""Columns of the customers' truth that `planted` reads, beside those of the offers."""

__all__ = ["NEEDED", "items", "lifts", "planted"]


def planted(world: World, customers: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the planted facts that hold for all customers.

    Parameters
    ----------
    world : World
    customers : DataFrame
        The truth about the customers, for the true lifts.

    Returns
    -------
    dict of DataFrame
        drivers, elasticities (by archetype, weighted by purchases), lifts, items, settings.
    """
    drivers = [(*row, TRAITS[row[0]].scale) for row in DRIVERS]
    return {
        "drivers": pl.DataFrame(
            drivers, schema=["trait", "driver", "coefficient", "scale"], orient="row"
        ),
        "elasticities": _elasticities(customers),
        "lifts": lifts(customers),
        "items": items(),
        "settings": _settings(world),
    }


def _groups(customers: pl.DataFrame) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return all customers, then each archetype's, as rows; in NumPy, so to the same last digit."""
    archetype = customers["archetype"].to_numpy()
    names = [name for name in sorted(ARCHETYPES) if (archetype == name).any()]
    return [("all", np.ones(len(archetype), dtype=bool)), *((n, archetype == n) for n in names)]


def _elasticities(customers: pl.DataFrame) -> pl.DataFrame:
    """Average the price elasticity of demand by archetype, and over all, weighted by purchases."""
    weights = (customers["orders_per_year"] * customers["items_per_order"]).to_numpy()
    values = -customers["price_elasticity"].to_numpy()
    rows = [
        (name, float((values[chosen] @ weights[chosen]) / weights[chosen].sum()))
        for name, chosen in _groups(customers)
    ]
    return pl.DataFrame(rows, schema=["archetype", "elasticity"], orient="row")


def lifts(customers: pl.DataFrame) -> pl.DataFrame:
    """Return the expected conversion by archetype under no offer, the generic, and the right one.

    Returns
    -------
    DataFrame
        archetype ("all" first), customers, holdout, each offer, tailored (shares with an order
        within four weeks, among those who may be written to), lift (tailored over generic - 1).
    """
    some = customers.filter("writable")
    base = some["natural_orders"].to_numpy()
    columns = {name: conversion(base, some[f"added_{name}"].to_numpy()) for name in OFFERS}
    places = np.array([OFFERS.index(name) for name in some["best_offer"]], dtype=np.int64)
    table = np.column_stack(list(columns.values()))
    chosen = table[np.arange(some.height), places] if some.height else np.zeros(0)
    shares = {"holdout": conversion(base, 0.0 * base)} | columns | {"tailored": chosen}
    rows = [
        {"archetype": name, "customers": int(group.sum())}
        | {key: float(values[group].mean()) for key, values in shares.items()}
        for name, group in _groups(some)
        if group.any()
    ]
    schema = {"archetype": pl.String, "customers": pl.Int64} | dict.fromkeys(shares, pl.Float64)
    return pl.DataFrame(rows, schema=schema).with_columns(
        lift=pl.col("tailored") / pl.col("generic") - 1
    )


def _settings(world: World) -> pl.DataFrame:
    """Return the settings as text, one row each."""
    factors = DIFFICULTIES[world.difficulty]
    facts = {
        "generator_version": GENERATOR_VERSION,
        "n_customers": world.n_customers,
        "seed": world.seed,
        "difficulty": world.difficulty,
        "contrast": factors.contrast,
        "spread": factors.spread,
        "structure": world.structure,
        "groups": len(ARCHETYPES) if world.structure == "archetypes" else 0,
        "lift": world.lift,
        "kappa": round(world.planted.kappa, 6),
        "start": world.start,
        "months": world.months,
        "campaign_date": world.calendar.campaign_date,
        "dirty": world.dirty,
        "pilot_share": world.pilot_share,
    }
    return pl.DataFrame({"setting": list(facts), "value": [str(value) for value in facts.values()]})
