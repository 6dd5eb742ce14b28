"""Registered names of the types that are stored: results, models and their parts.

A stored object carries a type name and a version, never a Python path, so that a class can move
or be renamed. A new result gets a line in `TYPES`; a class that moved gets its new place there.
Where the fields of a class are renamed or dropped, its version rises by one in `FIELDS`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

from segkit.errors import ModelError, unknown

# Type name -> module and class. The module is imported when an object of the type is read.
TYPES: dict[str, str] = {
    "audience": "segkit.campaign.audience:Audience",
    "segment_contract": "segkit.campaign.audience:SegmentContract",
    "campaign_data": "segkit.campaign.prelude:Prelude",
    "outlook": "segkit.campaign.outlook:Outlook",
    "batch_segmentation": "segkit.cluster.batches:BatchSegmentation",
    "k_choice": "segkit.cluster.choose:KChoice",
    "method_comparison": "segkit.cluster.methods:MethodComparison",
    "mixed_columns": "segkit.cluster.gower:Space",
    "segment_crossing": "segkit.cluster.grade:Crossing",
    "k_means": "segkit.cluster.kmeans:KMeansFit",
    "latent_class": "segkit.cluster.latent:LatentClass",
    "latent_model": "segkit.cluster.latent:LatentModel",
    "mixed_segment": "segkit.cluster.mixed_types:Example",
    "mixed_model": "segkit.cluster.mixed_types:MixedModel",
    "mixture_component": "segkit.cluster.mixture:Component",
    "mixture_model": "segkit.cluster.mixture:MixtureModel",
    "segment": "segkit.cluster.model:Segment",
    "segment_model": "segkit.cluster.model:SegmentModel",
    "segmentation": "segkit.cluster.segments:Segmentation",
    "silhouette": "segkit.cluster.validity:Silhouette",
    "stability": "segkit.cluster.stability:Stability",
    "structure": "segkit.cluster.structure:Structure",
    "two_step": "segkit.cluster.twostep:TwoStep",
    "segment_validity": "segkit.cluster.given_segments:SegmentValidity",
    "validity": "segkit.cluster.validity:Validity",
    "structure_grade": "segkit.cluster.grade:StructureGrade",
    "repeat_rate": "segkit.cohorts:RepeatRate",
    "retention": "segkit.cohorts:Retention",
    "assignment": "segkit.campaign.assignment:Assignment",
    "budget": "segkit.campaign.budget:Budget",
    "segment_power": "segkit.campaign.segment_power:SegmentPower",
    "eligibility": "segkit.campaign.eligibility:Eligibility",
    "campaign_feedback": "segkit.campaign.feedback:CampaignFeedback",
    "metric": "segkit.campaign.metrics:Metric",
    "next_steps": "segkit.campaign.next_steps:NextSteps",
    "offered": "segkit.campaign.offers:Offered",
    "pilot": "segkit.campaign.pilot:Pilot",
    "pilot_size": "segkit.campaign.pilot_size:PilotSize",
    "pilot_overlap": "segkit.campaign.design:PilotOverlap",
    "next_round": "segkit.campaign.design:NextRound",
    "offer_design": "segkit.campaign.design:OfferDesign",
    "lift_grade": "segkit.campaign.grade:LiftGrade",
    "segment_trace": "segkit.lift.tracing:SegmentTrace",
    "odds_ratios": "segkit.lift.odds:OddsRatios",
    "power": "segkit.campaign.power:Power",
    "segmentation_test": "segkit.campaign.segmentations:SegmentationTest",
    "item_coding": "segkit.factor.correlation:Coding",
    "correlations": "segkit.factor.correlation:Correlations",
    "score_side": "segkit.factor.correlation:ScoreSide",
    "fit_indices": "segkit.factor.extraction:FitIndices",
    "adequacy": "segkit.factor.fitting:Adequacy",
    "loading_intervals": "segkit.factor.fitting:LoadingIntervals",
    "factor_model": "segkit.factor.model:FactorModel",
    "factor_count": "segkit.factor.number:FactorCount",
    "survey_response": "segkit.factor.response:Response",
    "survey_voice": "segkit.factor.response:SurveyRating",
    "reliability": "segkit.factor.scales:Reliability",
    "factor_scores": "segkit.factor.scores:Scores",
    "profile_validation": "segkit.factor.validation:Validation",
    "customer_attributes": "segkit.features.attributes:CustomerAttributes",
    "customer_table": "segkit.features.table:CustomerTable",
    "calendar": "segkit.features.calendar:Calendar",
    "occasion": "segkit.features.calendar:Occasion",
    "screening": "segkit.features.screening:Screening",
    "audit": "segkit.intake.audit:Audit",
    "customer_counts": "segkit.intake.clean:CustomerCounts",
    "identities": "segkit.intake.identity:Identities",
    "large_scores": "segkit.large.segments:LargeScores",
    "large_segmentation": "segkit.large.segments:LargeSegmentation",
    "ledger_rejection": "segkit.intake.ledger:Rejection",
    "ledger": "segkit.intake.ledger:Ledger",
    "ledger_part": "segkit.intake.ledger:Part",
    "ledger_step": "segkit.intake.ledger:Step",
    "mapping": "segkit.intake.mapping:Mapping",
    "table_mapping": "segkit.intake.mapping:TableMapping",
    "audit_finding": "segkit.intake.questions:Finding",
    "intake": "segkit.intake.store:Intake",
    "trace": "segkit.intake.store:Trace",
    "arm_balance": "segkit.lift.balance:Balance",
    "sample_ratio": "segkit.lift.balance:SampleRatio",
    "described_change": "segkit.lift.describing:Change",
    "factorial": "segkit.lift.factorial:Factorial",
    "group_time_effects": "segkit.lift.group_time:GroupTimeEffects",
    "campaign_profit": "segkit.lift.money:Money",
    "campaign_outcomes": "segkit.lift.outcomes:Outcomes",
    "threshold_trial": "segkit.live.triggers.trial:ThresholdTrial",
    "trigger_run": "segkit.live.triggers.run:TriggerRun",
    "daily_lift": "segkit.lift.measure:DailyLift",
    "lift": "segkit.lift.verdicts:Lift",
    "customer_segments": "segkit.pipeline:CustomerSegments",
    "persona": "segkit.profile.cards:Persona",
    "personas": "segkit.profile.cards:Personas",
    "persona_pages": "segkit.profile.persona_pages:PersonaPages",
    "profile": "segkit.profile.segment_profile:Profile",
    "separation": "segkit.profile.segment_profile:Separation",
    "marker_rule": "segkit.profile.variables:MarkerRule",
    "thresholds": "segkit.profile.usability:Thresholds",
    "usability": "segkit.profile.usability:Usability",
    "year_change": "segkit.profile.years:YearChange",
    "collinearity": "segkit.regression.design:Collinearity",
    "drivers": "segkit.regression.drivers:Drivers",
    "driver_importance": "segkit.regression.importance:Importance",
    "driver_table": "segkit.regression.outcomes:DriverTable",
    "price_response": "segkit.regression.price:PriceResponse",
    "cuts": "segkit.rfm.cuts:Cuts",
    "rfm": "segkit.rfm.scoring:RFM",
    "concentration": "segkit.rfm.segments:Concentration",
    "micro_segments": "segkit.rfm.segments:MicroSegments",
    "sensitivity": "segkit.rfm.shifts:Sensitivity",
    "rule_check": "segkit.rules.check:RuleCheck",
    "all_conditions": "segkit.rules.conditions:All",
    "between_condition": "segkit.rules.conditions:Between",
    "comparison": "segkit.rules.conditions:Comparison",
    "either_condition": "segkit.rules.conditions:Either",
    "null_condition": "segkit.rules.conditions:IsNull",
    "membership": "segkit.rules.conditions:Membership",
    "negated_condition": "segkit.rules.conditions:Negation",
    "domain": "segkit.rules.rule:Domain",
    "rule": "segkit.rules.rule:Rule",
    "rule_set": "segkit.rules.ruleset:RuleSet",
    "scored_customers": "segkit.scoring:Scored",
    "spark_segments": "segkit.spark.segments:SparkSegments",
    "transform_column": "segkit.transform.steps:Column",
    "transform": "segkit.transform.table:Transform",
    "alerts": "segkit.monitor.alerts:Alerts",
    "drift": "segkit.monitor.drift:Drift",
    "kpi_series": "segkit.monitor.kpis:KpiSeries",
    "migration": "segkit.monitor.migration:Migration",
    "planted_moves": "segkit.monitor.history:PlantedMoves",
    "refresh": "segkit.monitor.refresh:Refresh",
    "refresh_series": "segkit.monitor.series:RefreshSeries",
    "next_purchase": "segkit.predict.next_purchase:NextPurchase",
    "next_purchase_backtest": "segkit.predict.next_purchase:NextPurchaseBacktest",
    "propensity": "segkit.predict.scores:Propensity",
    "propensity_model": "segkit.predict.propensity:PropensityModel",
    "propensity_backtest": "segkit.predict.propensity_backtest:PropensityBacktest",
    "decision_curve": "segkit.predict.decisions:DecisionCurve",
    "purchase_model": "segkit.predict.purchases:PurchaseModel",
    "spend_model": "segkit.predict.spend:SpendModel",
    "recommendations": "segkit.predict.recommend:Recommendations",
    "recommend_backtest": "segkit.predict.recommend_backtest:RecommendBacktest",
    "recommender": "segkit.predict.recommender:Recommender",
    "recommend_settings": "segkit.predict.ranking:RecommendSettings",
    "retention_list": "segkit.predict.value_segments:RetentionList",
    "value": "segkit.predict.value:Value",
    "value_model": "segkit.predict.value:ValueModel",
    "value_segments": "segkit.predict.value_segments:ValueSegments",
    "value_backtest": "segkit.predict.backtest:ValueBacktest",
    "uplift_curve": "segkit.lift.uplift_curves:UpliftCurve",
    "segment_policy": "segkit.lift.policy:SegmentPolicy",
    "uplift": "segkit.lift.uplift:Uplift",
}

# Type name -> the changes of its fields that made its versions 2, 3, ...: old name -> new name, or
# None where the field is gone. A type that is not here has version 1.
FIELDS: dict[str, list[dict[str, str | None]]] = {
    "assignment": [{"stayed": None}],
    "factorial": [{"errors": None, "sums": None}],
    "ledger_step": [{"apart": "rejected"}],
    "k_choice": [{"n_boot": "n_draws"}],
    "large_scores": [{"without": "unassigned"}],
    "large_segmentation": [{"without": "unassigned"}],
    "spark_segments": [{"without": "unassigned"}],
    "stability": [{"n_boot": "n_refits"}],
    "structure": [{"n_boot": "n_refits"}],
    "transform_column": [{"power": None}],
}

# Python path that segkit 0.1 stored -> type name, where the class has moved since. Where another
# class of that time moves, its old path is added.
FIRST: dict[str, str] = {
    "segkit.audience.audience:Audience": "audience",
    "segkit.audience.contract:SegmentContract": "segment_contract",
    "segkit.campaign:Prelude": "campaign_data",
    "segkit.cluster.comparison:MethodComparison": "method_comparison",
    "segkit.cluster.division:Division": "segmentation",
    "segkit.cluster.latent_model:LatentClass": "latent_class",
    "segkit.cluster.latent_model:LatentModel": "latent_model",
    "segkit.cluster.mixed_model:Example": "mixed_segment",
    "segkit.cluster.mixed_model:MixedModel": "mixed_model",
    "segkit.cluster.mixture_model:Component": "mixture_component",
    "segkit.cluster.mixture_model:MixtureModel": "mixture_model",
    "segkit.cluster.outcome:Segmentation": "segmentation",
    "segkit.cluster.silhouettes:Silhouette": "silhouette",
    "segkit.cluster.validate:SegmentValidity": "segment_validity",
    "segkit.cluster.verdict:StructureGrade": "structure_grade",
    "segkit.cohorts.repeats:RepeatRate": "repeat_rate",
    "segkit.cohorts.retained:Retention": "retention",
    "segkit.experiment.assignment:Assignment": "assignment",
    "segkit.experiment.budget:Budget": "budget",
    "segkit.experiment.by_segment:SegmentPower": "segment_power",
    "segkit.experiment.eligible:Eligibility": "eligibility",
    "segkit.experiment.metrics:Metric": "metric",
    "segkit.experiment.offers:Offered": "offered",
    "segkit.experiment.pilot:Pilot": "pilot",
    "segkit.experiment.power:Power": "power",
    "segkit.experiment.segmentations:SegmentationTest": "segmentation_test",
    "segkit.factor.bootstrap:LoadingIntervals": "loading_intervals",
    "segkit.factor.coding:Coding": "item_coding",
    "segkit.factor.coding:ScoreSide": "score_side",
    "segkit.factor.indices:FitIndices": "fit_indices",
    "segkit.factor.sampling:Adequacy": "adequacy",
    "segkit.factor.voice:Voice": "survey_voice",
    "segkit.identity.outcome:Identities": "identities",
    "segkit.ingest.audit:Audit": "audit",
    "segkit.ingest.counts:CustomerCounts": "customer_counts",
    "segkit.ingest.findings:Finding": "audit_finding",
    "segkit.ingest.mapping:Mapping": "mapping",
    "segkit.ingest.mapping:TableMapping": "table_mapping",
    "segkit.ingest.process:Intake": "intake",
    "segkit.ingest.trace:Trace": "trace",
    "segkit.ledger:Apart": "ledger_rejection",
    "segkit.ledger:Ledger": "ledger",
    "segkit.ledger:Part": "ledger_part",
    "segkit.ledger:Step": "ledger_step",
    "segkit.lift.peeking:DailyLift": "daily_lift",
    "segkit.lift.result:Lift": "lift",
    "segkit.profile.outcome:Profile": "profile",
    "segkit.profile.separation:Separation": "separation",
    "segkit.profile.thresholds:MarkerRule": "marker_rule",
    "segkit.profile.thresholds:Thresholds": "thresholds",
    "segkit.regression.collinear:Collinearity": "collinearity",
    "segkit.rfm.lorenz:Concentration": "concentration",
    "segkit.rfm.micro:MicroSegments": "micro_segments",
    "segkit.screening.result:Screening": "screening",
    "segkit.transform.column:Column": "transform_column",
    "segkit.uplift.curve:UpliftCurve": "uplift_curve",
    "segkit.uplift.policy:SegmentPolicy": "segment_policy",
    "segkit.uplift.score:Uplift": "uplift",
}


def version_of(name: str) -> int:
    """Return the version of a type's fields."""
    return 1 + len(FIELDS.get(name, ()))


@functools.cache
def type_of(name: str) -> type[Any]:
    """Import the class of a type name.

    Raises
    ------
    ModelError
        If no type has the name.
    """
    if name not in TYPES:
        raise ModelError(unknown("stored type", name, sorted(TYPES)))
    module, _, own = TYPES[name].partition(":")
    kind = getattr(importlib.import_module(module), own)
    assert isinstance(kind, type)  # noqa: S101 - narrows the type; a test reads every entry
    return kind


def name_of(kind: type[Any]) -> str:
    """Return the type name of a class.

    Raises
    ------
    ModelError
        If the class has none.
    """
    path = f"{kind.__module__}:{kind.__qualname__}"
    name = next((name for name, own in TYPES.items() if own == path), None)
    if name is None:
        raise ModelError(f"cannot store a {kind.__name__}: {path} is not among the stored types")
    return name


def name_of_path(path: str) -> str:
    """Return the type name of a Python path that segkit 0.1 stored.

    Raises
    ------
    ModelError
        If segkit 0.1 stored no such class.
    """
    unmoved = {own: name for name, own in TYPES.items()}
    if path not in FIRST | unmoved:
        raise ModelError(f"stored class {path!r} is not one of segkit's")
    return (unmoved | FIRST)[path]


def upgrade_fields(name: str, version: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored fields under the names of the present version.

    Raises
    ------
    ModelError
        If the version is not one of the type's, such as that of a later segkit.
    """
    newest = version_of(name)
    if not isinstance(version, int) or not 1 <= version <= newest:
        raise ModelError(
            f"the stored {name} has version {version!r}; this segkit reads versions 1 to {newest}"
        )
    current = dict(fields)
    for change in FIELDS.get(name, [])[version - 1 :]:
        names = {field: change.get(field, field) for field in current}
        current = {new: current[old] for old, new in names.items() if new is not None}
    return current
