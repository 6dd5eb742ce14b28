"""A simulated retailer on the case study's way: from dirty tables to the customer table."""

import warnings

import polars as pl

import segkit


def customer_table(
    customers: int, *, seed: int, difficulty: str = "medium", structure: str = "archetypes"
) -> tuple[pl.DataFrame, list[str], pl.DataFrame]:
    """Simulate, link identities, take in, build features; warnings are errors.

    Returns
    -------
    table : polars.DataFrame
        One row a customer.
    variables : list of str
        What `choose_variables` takes to cluster on.
    truth : polars.DataFrame
        ``customer_id``, ``archetype`` and what else is planted a customer.
    """
    warnings.simplefilter("error")
    made = segkit.simulate_retailer(
        customers, seed=seed, difficulty=difficulty, structure=structure
    )
    source = segkit.Source("simulated", made.tables, made.mapping, made.truth)
    taken = segkit.intake(source, identities=segkit.link_source(source))
    table = segkit.build_features(taken.orders, taken.events, calendar="uk").frame
    return table, segkit.choose_variables(table), made.truth["customers"]
