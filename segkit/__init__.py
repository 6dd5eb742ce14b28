"""From raw purchase history to customer segments, and on to campaign lift that can be trusted.

The map below goes from a question to the function that answers it; nothing is imported until
it is asked for, so ``import segkit`` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that holds it.
_MAP: dict[str, str] = {
    # Who is valuable now?
    "measure_concentration": "segkit.rfm",
    "Cuts": "segkit.rfm",
    "find_micro_segments": "segkit.rfm",
    "score_rfm": "segkit.rfm",
    "measure_sensitivity": "segkit.rfm",
    # Do customers come back?
    "estimate_repeat_rate": "segkit.cohorts",
    "measure_retention": "segkit.cohorts",
    # Which identifiers are one customer?
    "link": "segkit.ingest.identity",
    # Which segment, by rules that are data?
    "Domain": "segkit.rules",
    "Rule": "segkit.rules",
    "RuleSet": "segkit.rules",
    # Which error was it?
    "SegkitError": "segkit.errors",
    "find_missing_columns": "segkit.rules",
    # Can we trust the data, and where did every row go?
    "Audit": "segkit.ingest",
    "Intake": "segkit.ingest",
    "Ledger": "segkit.ingest.ledger",
    "Mapping": "segkit.ingest",
    "TableMapping": "segkit.ingest",
    "Trace": "segkit.ingest.store",
    "check": "segkit.ingest",
    "count_customers": "segkit.ingest.clean",
    "intake": "segkit.ingest",
    # Which data are there to learn on?
    "Source": "segkit.datasets",
    "load_source": "segkit.datasets",
    # Is the analysis right? A retailer whose truth is known.
    "Retailer": "segkit.simulate",
    "simulate_retailer": "segkit.simulate",
    "simulate_to_parquet": "segkit.simulate",
    # How are columns made comparable?
    "Transform": "segkit.transform",
    # Which customers belong together, and where does a new one go?
    "SegmentModel": "segkit.cluster.model",
    "Ward": "segkit.cluster.estimators",
    "cluster_customers": "segkit.cluster.segmentation",
    "cluster_latent": "segkit.cluster.latent",
    "cluster_mixed": "segkit.cluster.mixed",
    "cluster_mixture": "segkit.cluster.mixture",
    "cluster_parquet": "segkit.cluster.batches",
    "compare_methods": "segkit.cluster.methods",
    "load_model": "segkit.cluster.scoring",
    "assign_by_rules": "segkit.cluster.validate",
    "validate_segments": "segkit.cluster.validate",
    "score_file": "segkit.scoring",
    # Do two divisions agree, and how near is one to the truth?
    "compare_assignments": "segkit.cluster.grade",
    "grade_segments": "segkit.cluster.grade",
    "grade_structure": "segkit.cluster.grade",
    # How many segments, how good are they?
    "choose_k": "segkit.cluster.choose",
    "assess_stability": "segkit.cluster.stability",
    "assess_structure": "segkit.cluster.structure",
    "cluster_validity": "segkit.cluster.validity",
    # What does each customer look like?
    "later_spend": "segkit.features.build",
    "build_features": "segkit.features",
    "Calendar": "segkit.features",
    "CustomerTable": "segkit.features",
    # Which variables say something about a KPI?
    "screen_variables": "segkit.features",
    # What is known before a campaign?
    "Prelude": "segkit.campaign.prelude",
    "before_campaign": "segkit.campaign.prelude",
    "given_campaign": "segkit.campaign.prelude",
    # Whom to contact, with what, how many?
    "Assignment": "segkit.campaign.assignment",
    "Budget": "segkit.campaign.budget",
    "Eligibility": "segkit.campaign.eligibility",
    "Metric": "segkit.campaign.metrics",
    "OfferRules": "segkit.campaign.offers",
    "Pilot": "segkit.campaign.pilot",
    "Power": "segkit.campaign.power",
    "assign": "segkit.campaign.assign",
    "assign_factors": "segkit.campaign.assign",
    "assign_segmentations": "segkit.campaign.segmentations",
    "compare_segmentations": "segkit.campaign.segmentations",
    "eligible": "segkit.campaign.eligibility",
    "gains_of_pilot": "segkit.campaign.budget",
    "measure": "segkit.campaign.metrics",
    "plan_budget": "segkit.campaign.budget",
    "power_by_segment": "segkit.campaign.segment_power",
    "power_of": "segkit.campaign.power",
    "read_assignment": "segkit.campaign.assign",
    "read_pilot": "segkit.campaign.pilot",
    "read_segmentation_test": "segkit.campaign.segmentations",
    "sample_size": "segkit.campaign.power",
    "smallest_effect": "segkit.campaign.power",
    # Which list goes to whom, and who is left out?
    "Audience": "segkit.campaign.audience",
    "SegmentContract": "segkit.campaign.audience",
    # How is a table written, formulas defused?
    "write_frame": "segkit.writing",
    "build_audience": "segkit.campaign.audience",
    # Whom does a contact move, and what does acting on it pay?
    "SegmentPolicy": "segkit.lift.policy",
    "Uplift": "segkit.lift.uplift",
    "UpliftCurve": "segkit.lift.uplift_curves",
    "fit_uplift": "segkit.lift.uplift",
    "segment_policy": "segkit.lift.policy",
    "uplift_at": "segkit.lift.uplift_curves",
    "uplift_curve": "segkit.lift.uplift_curves",
    # How do numbers and sentences look?
    "first_sentence": "segkit.display",
    "in_words": "segkit.labels",
    "label": "segkit.labels",
    # Which segments, in one call?
    "segment": "segkit.pipeline",
    "answers_as_table": "segkit.pipeline",
    "choose_variables": "segkit.pipeline",
    "judge_quality": "segkit.pipeline",
    "link_source": "segkit.pipeline",
    # Which segments suit, tried by hand in JupyterLab?
    "Explorer": "segkit.explorer",
    "explore_segments": "segkit.explorer",
    # Where does this notebook read and write?
    "NotebookRun": "segkit.runner",
    "open_notebook": "segkit.runner",
    # What attitudes are behind a survey's answers, and who holds them?
    "FactorModel": "segkit.factor",
    "check_adequacy": "segkit.factor",
    "correlate_items": "segkit.factor",
    "fit_factors": "segkit.factor",
    "choose_factor_count": "segkit.factor",
    "estimate_loading_intervals": "segkit.factor",
    "read_answer_ranges": "segkit.factor",
    "read_codebook": "segkit.factor",
    "read_survey": "segkit.factor",
    "estimate_reliability": "segkit.factor",
    "score_scales": "segkit.factor",
    "derive_scales": "segkit.factor",
    "find_survey_items": "segkit.factor",
    # What do respondents say of us, whom do they stand for, and does the profile hold?
    "plot_answers": "segkit.factor",
    "derive_claims": "segkit.factor",
    "draw_validation_sample": "segkit.factor",
    "rate_recommendation": "segkit.factor",
    "rate_satisfaction": "segkit.factor",
    "compute_response_rates": "segkit.factor",
    "validate_profile": "segkit.factor",
    # What moves purchase frequency, spend and churn, and what does price do?
    "DriverTable": "segkit.regression",
    "measure_collinearity": "segkit.regression",
    "build_driver_table": "segkit.regression",
    "fit_drivers": "segkit.regression",
    "build_price_panel": "segkit.regression",
    "estimate_price_response": "segkit.regression",
    "measure_importance": "segkit.regression",
    # Who are the segments, what marks each, is each of use?
    "MarkerRule": "segkit.profile",
    "OfferRule": "segkit.profile",
    "Profile": "segkit.profile",
    "Thresholds": "segkit.profile",
    "first_step": "segkit.profile",
    "personas": "segkit.profile",
    "profile_segments": "segkit.profile",
    "usable": "segkit.profile",
    # Did the campaign work, for whom, at what profit?
    "Kpi": "segkit.lift",
    "attach_segments": "segkit.lift",
    "campaign_profit": "segkit.lift",
    "check_balance": "segkit.lift",
    "daily_lift": "segkit.lift",
    "derive_outcomes": "segkit.lift",
    "describe_change": "segkit.lift",
    "factorial_effects": "segkit.lift",
    "follow_up": "segkit.campaign.follow_up",
    "given_outcomes": "segkit.lift",
    "kpi_table": "segkit.lift",
    "measure_lift": "segkit.lift",
    "sample_ratio": "segkit.lift",
}

__all__ = ["__version__", *sorted(_MAP)]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _MAP:
        from segkit.errors import unknown

        raise AttributeError(unknown("segkit name", name, _MAP))
    value = getattr(importlib.import_module(_MAP[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
