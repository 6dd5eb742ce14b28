"""Simulated retailers: purchases alone, as clean lines; or dirty, on the case study's way."""

import warnings

import numpy as np
import polars as pl

import segkit
from segkit.simulate import purchases
from segkit.simulate.archetypes import ARCHETYPES
from segkit.simulate.world import MONTHS, START, World


def shop(seed, n, *, months=MONTHS):
    """Return the world, its people, and clean sale lines of n customers, without defects."""
    world = World(n, seed, "medium", "archetypes", "none", START, months, False, 0.0)
    people = world.people(np.arange(n))
    lines = purchases.make_lines(people, purchases.shop(people), sure=False)
    first = (START - type(START)(1970, 1, 1)).days
    categories = world.catalogue.products.get_column("category")
    orders = lines.select(
        customer_id=pl.col("person").cast(pl.String),
        order_id=pl.col("basket").cast(pl.String),
        order_day=(pl.col("day") + first).cast(pl.Int32),
        product_id=world.catalogue.ids.gather(lines["product"]),
        category=categories.gather(lines["product"]),
        unit_price="price",
        quantity=pl.col("quantity").cast(pl.Float64),
        discount=pl.col("price") * pl.col("share") * pl.col("quantity"),
        amount=pl.col("price") * (1 - pl.col("share")) * pl.col("quantity"),
        is_return=pl.lit(False),
    )
    return world, people, orders


def segments(people):
    """Return each customer's archetype."""
    names = [ARCHETYPES[k] for k in people.archetype]
    ids = [str(k) for k in range(len(names))]
    return pl.DataFrame({"customer_id": ids, "segment": names})


def customer_table(
    customers: int, *, seed: int, difficulty: str = "medium", structure: str = "archetypes"
) -> tuple[pl.DataFrame, list[str], pl.DataFrame]:
    """Simulate, link identities, take in, build features; warnings are errors.

    Returns
    -------
    table : polars.DataFrame
        One row per customer.
    variables : list of str
        What `choose_variables` takes to cluster on.
    truth : polars.DataFrame
        ``customer_id``, ``archetype`` and what else is planted a customer.
    """
    warnings.simplefilter("error")
    made = segkit.simulate_retailer(
        customers, seed=seed, difficulty=difficulty, structure=structure
    )
    source = segkit.datasets.Source("simulated", made.tables, made.mapping, made.truth)
    taken = segkit.clean_data(source, identities=segkit.pipeline.link_source(source))
    table = segkit.build_features(taken.orders, taken.events, calendar="uk").frame
    return table, segkit.pipeline.choose_variables(table), made.truth["customers"]
