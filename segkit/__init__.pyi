"""Public names of segkit: the main path, then the packages that hold everything else."""

# Intake: raw tables to clean ones, audited, with a ledger
from segkit.datasets import load_source as load_source
from segkit.errors import SegkitError as SegkitError
from segkit.intake import Mapping as Mapping
from segkit.intake import audit_data as audit_data
from segkit.intake import clean_data as clean_data
from segkit.simulate import simulate_retailer as simulate_retailer

# Customer table and RFM
from segkit.features import build_features as build_features
from segkit.features import screen_variables as screen_variables
from segkit.rfm import score_rfm as score_rfm

# Attitudes
from segkit.factor import fit_factors as fit_factors
from segkit.factor import choose_factor_count as choose_factor_count
from segkit.factor import read_survey as read_survey

# Segments: in one call or step by step, by hand in JupyterLab, and scoring
from segkit.pipeline import segment as segment
from segkit.cluster import assess_stability as assess_stability
from segkit.cluster import assess_structure as assess_structure
from segkit.cluster import choose_k as choose_k
from segkit.cluster import cluster_customers as cluster_customers
from segkit.cluster import compare_methods as compare_methods
from segkit.cluster import load_model as load_model
from segkit.cluster import validate_segments as validate_segments
from segkit.explorer import explore_segments as explore_segments
from segkit.scoring import score_file as score_file

# Profiles and drivers
from segkit.profile import write_personas as write_personas
from segkit.profile import profile_segments as profile_segments
from segkit.profile import assess_usability as assess_usability
from segkit.regression import build_driver_table as build_driver_table
from segkit.regression import fit_drivers as fit_drivers
from segkit.regression import measure_importance as measure_importance

# Campaign: design, power, assignment, lists
from segkit.campaign import assign_arms as assign_arms
from segkit.campaign import build_audience as build_audience
from segkit.campaign import check_eligibility as check_eligibility
from segkit.campaign import plan_budget as plan_budget
from segkit.campaign import compute_segment_power as compute_segment_power
from segkit.campaign import compute_sample_size as compute_sample_size

# Lift, profit and uplift
from segkit.lift import measure_profit as measure_profit
from segkit.lift import derive_outcomes as derive_outcomes
from segkit.lift import fit_uplift as fit_uplift
from segkit.lift import measure_lift as measure_lift

# Notebooks
from segkit.runner import open_notebook as open_notebook

# Packages
from segkit import campaign as campaign
from segkit import cluster as cluster
from segkit import cohorts as cohorts
from segkit import course as course
from segkit import datasets as datasets
from segkit import display as display
from segkit import errors as errors
from segkit import explorer as explorer
from segkit import factor as factor
from segkit import features as features
from segkit import intake as intake
from segkit import large as large
from segkit import lift as lift
from segkit import pipeline as pipeline
from segkit import live as live
from segkit import plot as plot
from segkit import monitor as monitor
from segkit import predict as predict
from segkit import profile as profile
from segkit import regression as regression
from segkit import rfm as rfm
from segkit import rules as rules
from segkit import runner as runner
from segkit import scoring as scoring
from segkit import simulate as simulate
from segkit import spark as spark
from segkit import transform as transform
from segkit import writing as writing

__version__: str
__all__: list[str]
