"""Hillstrom's e-mail test of 2008 (MineThatData): counts, and figures computed from them.

Arms' counts are those of the published file; intervals were computed independently (REFERENCES).
"""

CONTROL = "No E-Mail"
# arm: customers, visits, conversions, spend
ARMS = {
    "Mens E-Mail": (21_307, 3_894, 267, 30_311.69),
    "Womens E-Mail": (21_387, 3_238, 189, 23_038.11),
    "No E-Mail": (21_306, 2_262, 122, 13_908.33),
}
# (metric, arm): difference, Newcombe, z, relative lift, log, Fieller, delta; all 95%
EFFECTS = {
    ("visit_rate", "Mens E-Mail"): (
        *(0.076590, 0.069953, 0.083227, 22.486041, 0.721405),
        *(0.640385, 0.806426, 0.640929, 0.807114, 0.638416, 0.804393),
    ),
    ("visit_rate", "Womens E-Mail"): (
        *(0.045233, 0.038894, 0.051574, 13.949181, 0.426055),
        *(0.356171, 0.499540, 0.356482, 0.499965, 0.354401, 0.497709),
    ),
    ("conversion", "Mens E-Mail"): (
        *(0.006805, 0.005014, 0.008641, 7.385114, 1.188422),
        *(0.767984, 1.708842, 0.779541, 1.738757, 0.721542, 1.655301),
    ),
    ("conversion", "Womens E-Mail"): (
        *(0.003111, 0.001502, 0.004745, 3.779561, 0.543313),
        *(0.230105, 0.936269, 0.234027, 0.952356, 0.193241, 0.893385),
    ),
}
SPEND_DIFFERENCE, SPEND_POOLED_T = 0.769827, 5.300090294  # mens less control
SAMPLE_RATIO = (0.202531, 0.903693)
THREE_ARMS = {"visit_rate": 504.460669, "conversion": 55.258040}
PER_PURCHASER = {"Mens E-Mail": 113.53, "Womens E-Mail": 121.89}
