from segkit.predict.histories import count_purchases as count_purchases
from segkit.predict.purchases import PurchaseModel as PurchaseModel
from segkit.predict.purchases import fit_purchases as fit_purchases

__all__: list[str]
