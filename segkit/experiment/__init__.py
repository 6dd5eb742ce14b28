"""Whom to contact, with what, how many? Design of a campaign: pilot, budget, power, assignment."""

from segkit.experiment.assign import BY_CUSTOMER, assign, assign_factors, read_assignment
from segkit.experiment.assignment import NO_OFFER, Assignment
from segkit.experiment.budget import Budget, gains_of_pilot, plan_budget
from segkit.experiment.by_segment import SegmentPower, power_by_segment
from segkit.experiment.eligible import Eligibility, eligible
from segkit.experiment.learn import read_pilot
from segkit.experiment.metrics import Metric, mean, measure, proportion, ratio
from segkit.experiment.offers import Offered, OfferRules, TargetRule
from segkit.experiment.pilot import Pilot
from segkit.experiment.power import Power, power_of, sample_size, smallest_effect
from segkit.experiment.segmentations import (
    SegmentationTest,
    assign_segmentations,
    compare_segmentations,
    read_segmentation_test,
)

__all__ = [
    "BY_CUSTOMER",
    "NO_OFFER",
    "Assignment",
    "Budget",
    "Eligibility",
    "Metric",
    "OfferRules",
    "Offered",
    "Pilot",
    "Power",
    "SegmentPower",
    "SegmentationTest",
    "TargetRule",
    "assign",
    "assign_factors",
    "assign_segmentations",
    "compare_segmentations",
    "eligible",
    "gains_of_pilot",
    "mean",
    "measure",
    "plan_budget",
    "power_by_segment",
    "power_of",
    "proportion",
    "ratio",
    "read_assignment",
    "read_pilot",
    "read_segmentation_test",
    "sample_size",
    "smallest_effect",
]
