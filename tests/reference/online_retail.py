"""Totals of UCI Online Retail (Chen, Sain and Guo 2012; UCI Machine Learning Repository no. 352).

Raw and clean counts as commonly published for the 541,909-line file and recomputed
independently of segkit (REFERENCES.md, "Online Retail"). Money as text: it is compared exactly.
"""

RAW = {
    "lines": 541_909,
    "invoices": 25_900,
    "stock_codes": 4_070,
    "customers": 4_372,
    "countries": 38,
    "quantity": 5_176_450,
    "revenue": "9747747.934",
    "without_customer": 135_080,
    "cancellation_lines": 9_288,
    "repeats": 5_268,
}
# Known customer, not cancelled, quantity > 0, price > 0; exact repeats kept.
CLEAN = {
    "lines": 397_884,
    "customers": 4_338,
    "invoices": 18_532,
    "revenue": "8911407.904",
}
WITHOUT_REPEATS = {"lines": 392_692, "revenue": "8887208.89"}
