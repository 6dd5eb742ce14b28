"""Campaigns: data before, pilot, power, budget, assignment, audience lists, outcomes."""

from segkit.campaign.assign import BY_CUSTOMER, assign_arms, assign_factors, read_assignment
from segkit.campaign.assignment import NO_OFFER, Assignment
from segkit.campaign.audience import REASONS, Audience, SegmentContract, build_audience
from segkit.campaign.budget import Budget, estimate_pilot_gains, plan_budget
from segkit.campaign.eligibility import CHANNELS, Eligibility, check_eligibility
from segkit.campaign.follow_up import follow_up
from segkit.campaign.metrics import Metric, mean, measure_metric, proportion, ratio
from segkit.campaign.offers import Offered, OfferRules, TargetRule
from segkit.campaign.outlook import Outlook, build_outlook
from segkit.campaign.pilot import Pilot, read_pilot
from segkit.campaign.platforms import (
    MAIL_TOOLS,
    PLATFORMS,
    hash_identifiers,
    hash_texts,
    normalise_emails,
    normalise_identifiers,
    read_emails,
    read_phones,
    shape_mail_import,
)
from segkit.campaign.power import Power, compute_power, compute_sample_size, find_smallest_effect
from segkit.campaign.prelude import Prelude, collect_campaign_data, read_given_campaign
from segkit.campaign.segment_power import SegmentPower, compute_segment_power
from segkit.campaign.segmentations import (
    SegmentationTest,
    assign_segmentations,
    compare_segmentations,
    read_segmentation_test,
)

__all__ = [
    "BY_CUSTOMER",
    "CHANNELS",
    "MAIL_TOOLS",
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
    "Outlook",
    "Pilot",
    "Power",
    "Prelude",
    "SegmentContract",
    "SegmentPower",
    "SegmentationTest",
    "TargetRule",
    "assign_arms",
    "assign_factors",
    "assign_segmentations",
    "build_audience",
    "build_outlook",
    "check_eligibility",
    "collect_campaign_data",
    "compare_segmentations",
    "compute_power",
    "compute_sample_size",
    "compute_segment_power",
    "estimate_pilot_gains",
    "find_smallest_effect",
    "follow_up",
    "hash_identifiers",
    "hash_texts",
    "mean",
    "measure_metric",
    "normalise_emails",
    "normalise_identifiers",
    "plan_budget",
    "proportion",
    "ratio",
    "read_assignment",
    "read_emails",
    "read_given_campaign",
    "read_phones",
    "read_pilot",
    "read_segmentation_test",
    "shape_mail_import",
]
