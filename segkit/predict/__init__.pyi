from segkit.predict.backtest import ValueBacktest as ValueBacktest
from segkit.predict.backtest import backtest_value as backtest_value
from segkit.predict.histories import count_purchases as count_purchases
from segkit.predict.purchases import PurchaseModel as PurchaseModel
from segkit.predict.purchases import fit_purchases as fit_purchases
from segkit.predict.spend import SpendModel as SpendModel
from segkit.predict.spend import fit_spend as fit_spend
from segkit.predict.value import Value as Value
from segkit.predict.value import estimate_value as estimate_value

__all__: list[str]
