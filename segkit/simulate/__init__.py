"""A simulated fashion retailer with known true effects."""

from segkit.simulate.archetypes import ARCHETYPES, GENERATOR_VERSION, NO_OFFER, OFFERS
from segkit.simulate.later import Changes, FurtherYear, continue_year
from segkit.simulate.respond import Response
from segkit.simulate.retailer import Retailer, simulate_retailer, simulate_to_parquet, write_sample

__all__ = [
    "ARCHETYPES",
    "GENERATOR_VERSION",
    "NO_OFFER",
    "OFFERS",
    "Changes",
    "FurtherYear",
    "Response",
    "Retailer",
    "continue_year",
    "simulate_retailer",
    "simulate_to_parquet",
    "write_sample",
]
