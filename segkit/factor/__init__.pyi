from segkit.factor.answers import find_survey_items as find_survey_items
from segkit.factor.answers import open_survey as open_survey
from segkit.factor.answers import plot_answers as plot_answers
from segkit.factor.answers import read_answer_ranges as read_answer_ranges
from segkit.factor.answers import read_codebook as read_codebook
from segkit.factor.answers import read_survey as read_survey
from segkit.factor.correlation import Correlations as Correlations
from segkit.factor.correlation import correlate_items as correlate_items
from segkit.factor.fitting import check_adequacy as check_adequacy
from segkit.factor.fitting import estimate_loading_intervals as estimate_loading_intervals
from segkit.factor.fitting import fit_factors as fit_factors
from segkit.factor.model import FactorModel as FactorModel
from segkit.factor.number import choose_factor_count as choose_factor_count
from segkit.factor.response import compute_response_rates as compute_response_rates
from segkit.factor.response import rate_recommendation as rate_recommendation
from segkit.factor.response import rate_satisfaction as rate_satisfaction
from segkit.factor.scales import derive_scales as derive_scales
from segkit.factor.scales import estimate_reliability as estimate_reliability
from segkit.factor.scales import score_scales as score_scales
from segkit.factor.validation import derive_claims as derive_claims
from segkit.factor.validation import draw_validation_sample as draw_validation_sample
from segkit.factor.validation import validate_profile as validate_profile

__all__: list[str]
