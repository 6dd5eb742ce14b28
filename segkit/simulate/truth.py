"""What was planted? Drivers, elasticities, true lifts and settings as tables."""

from __future__ import annotations

import numpy as np
import polars as pl

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


def _elasticities(customers: pl.DataFrame) -> pl.DataFrame:
    """Mean price elasticity of demand by archetype, and over all, weighted by purchases."""
    weighed = pl.col("orders_per_year") * pl.col("items_per_order")
    mean = (pl.col("price_elasticity") * weighed).sum() / weighed.sum()
    by = customers.group_by("archetype").agg(elasticity=-mean).sort("archetype")
    whole = customers.select(archetype=pl.lit("all"), elasticity=-mean)
    return pl.concat([whole, by.drop_nulls("archetype")])


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
    frame = pl.DataFrame(
        {"archetype": some["archetype"], "holdout": conversion(base, 0.0 * base)}
        | columns
        | {"tailored": chosen}
    )
    means = [pl.len().alias("customers"), pl.exclude("archetype").mean()]
    by = frame.drop_nulls("archetype").group_by("archetype").agg(means).sort("archetype")
    whole = frame.select(pl.lit("all").alias("archetype"), *means)
    return pl.concat([whole, by]).with_columns(lift=pl.col("tailored") / pl.col("generic") - 1)


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
