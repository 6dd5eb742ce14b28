"""Campaigns: what is known before, pilot, power, budget, assignment, audience lists, follow-up."""

from segkit.campaign.assign import BY_CUSTOMER, assign, assign_factors, read_assignment
from segkit.campaign.assignment import NO_OFFER, Assignment
from segkit.campaign.audience import REASONS, Audience, SegmentContract, build_audience
from segkit.campaign.budget import Budget, gains_of_pilot, plan_budget
from segkit.campaign.eligibility import CHANNELS, Eligibility, eligible
from segkit.campaign.follow_up import follow_up
from segkit.campaign.metrics import Metric, mean, measure, proportion, ratio
from segkit.campaign.offers import Offered, OfferRules, TargetRule
from segkit.campaign.pilot import Pilot, read_pilot
from segkit.campaign.platforms import (
    PLATFORMS,
    hash_identifiers,
    hash_texts,
    normalise_emails,
    normalise_identifiers,
    read_emails,
    read_phones,
)
from segkit.campaign.power import Power, power_of, sample_size, smallest_effect
from segkit.campaign.prelude import Prelude, before_campaign, given_campaign
from segkit.campaign.segment_power import SegmentPower, power_by_segment
from segkit.campaign.segmentations import (
    SegmentationTest,
    assign_segmentations,
    compare_segmentations,
    read_segmentation_test,
)

__all__ = [
    "BY_CUSTOMER",
    "CHANNELS",
    "NO_OFFER",
    "PLATFORMS",
    "REASONS",
    "Assignment",
    "Audience",
    "Budget",
    "Eligibility",
    "Metric",
    "OfferRules",
    "Offered",
    "Pilot",
    "Power",
    "Prelude",
    "SegmentContract",
    "SegmentPower",
    "SegmentationTest",
    "TargetRule",
    "assign",
    "assign_factors",
    "assign_segmentations",
    "before_campaign",
    "build_audience",
    "compare_segmentations",
    "eligible",
    "follow_up",
    "gains_of_pilot",
    "given_campaign",
    "hash_identifiers",
    "hash_texts",
    "mean",
    "measure",
    "normalise_emails",
    "normalise_identifiers",
    "plan_budget",
    "power_by_segment",
    "power_of",
    "proportion",
    "ratio",
    "read_assignment",
    "read_emails",
    "read_phones",
    "read_pilot",
    "read_segmentation_test",
    "sample_size",
    "smallest_effect",
]
