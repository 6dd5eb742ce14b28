"""A simulated fashion retailer with known true effects."""

from segkit.simulate.archetypes import ARCHETYPES, GENERATOR_VERSION, NO_OFFER, OFFERS
from segkit.simulate.respond import Response
from segkit.simulate.retailer import Retailer, simulate_retailer, simulate_to_parquet, write_sample

__all__ = [
    "ARCHETYPES",
    "GENERATOR_VERSION",
    "NO_OFFER",
    "OFFERS",
    "Response",
    "Retailer",
    "simulate_retailer",
    "simulate_to_parquet",
    "write_sample",
]
