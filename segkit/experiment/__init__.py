"""Whom to contact, with what, how many? Design of a campaign: pilot, budget, power, assignment."""

from segkit.experiment.assign import BY_CUSTOMER, assign, assign_factors
from segkit.experiment.assignment import NO_OFFER, Assignment
from segkit.experiment.eligible import Eligibility, eligible
from segkit.experiment.metrics import Metric, mean, measure, proportion, ratio
from segkit.experiment.pilot import Pilot, read_pilot
from segkit.experiment.power import Power, power_of, sample_size, smallest_effect

__all__ = [
    "BY_CUSTOMER",
    "NO_OFFER",
    "Assignment",
    "Eligibility",
    "Metric",
    "Pilot",
    "Power",
    "assign",
    "assign_factors",
    "eligible",
    "mean",
    "measure",
    "power_of",
    "proportion",
    "ratio",
    "read_pilot",
    "sample_size",
    "smallest_effect",
]
