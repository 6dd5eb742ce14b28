from segkit.predict.backtest import ValueBacktest as ValueBacktest
from segkit.predict.backtest import backtest_value as backtest_value
from segkit.predict.decisions import DecisionCurve as DecisionCurve
from segkit.predict.decisions import compute_decision_curve as compute_decision_curve
from segkit.predict.histories import count_purchases as count_purchases
from segkit.predict.next_purchase import NextPurchase as NextPurchase
from segkit.predict.next_purchase import NextPurchaseBacktest as NextPurchaseBacktest
from segkit.predict.next_purchase import backtest_next_purchase as backtest_next_purchase
from segkit.predict.next_purchase import predict_next_purchase as predict_next_purchase
from segkit.predict.propensity import PropensityModel as PropensityModel
from segkit.predict.propensity import fit_churn as fit_churn
from segkit.predict.propensity import fit_leads as fit_leads
from segkit.predict.propensity_backtest import PropensityBacktest as PropensityBacktest
from segkit.predict.propensity_backtest import backtest_churn as backtest_churn
from segkit.predict.propensity_backtest import backtest_leads as backtest_leads
from segkit.predict.purchases import PurchaseModel as PurchaseModel
from segkit.predict.purchases import fit_purchases as fit_purchases
from segkit.predict.scores import Propensity as Propensity
from segkit.predict.scores import score_propensity as score_propensity
from segkit.predict.spend import SpendModel as SpendModel
from segkit.predict.spend import fit_spend as fit_spend
from segkit.predict.value import Value as Value
from segkit.predict.value import estimate_value as estimate_value

__all__: list[str]
