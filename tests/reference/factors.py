"""Published figures of factor analysis."""

# Thurstone's nine mental tests, lower triangle, n = 213: Bechtoldt (1961), as in SAS's PROC CALIS
# manual and R's psych (Thurstone).
THURSTONE_N = 213
THURSTONE_TESTS = (
    *("Sentences", "Vocabulary", "Sent.Completion", "First.Letters", "4.Letter.Words"),
    *("Suffixes", "Letter.Series", "Pedigrees", "Letter.Group"),
)
_LOWER = (
    (0.828,),
    (0.776, 0.779),
    (0.439, 0.493, 0.460),
    (0.432, 0.464, 0.425, 0.674),
    (0.447, 0.489, 0.443, 0.590, 0.541),
    (0.447, 0.432, 0.401, 0.381, 0.402, 0.288),
    (0.541, 0.537, 0.534, 0.350, 0.367, 0.320, 0.555),
    (0.380, 0.358, 0.359, 0.424, 0.446, 0.325, 0.598, 0.452),
)
THURSTONE = [
    [1.0 if i == j else _LOWER[max(i, j) - 1][min(i, j)] for j in range(9)] for i in range(9)
]
# R psych: KMO, fa(Thurstone, 3) with oblimin, omega(Thurstone).
THURSTONE_KMO = 0.88
THURSTONE_LOADINGS = {
    "Sentences": (0, 0.90),
    "Vocabulary": (0, 0.89),
    "Sent.Completion": (0, 0.84),
    "First.Letters": (1, 0.85),
    "4.Letter.Words": (1, 0.75),
    "Suffixes": (1, 0.63),
    "Letter.Series": (2, 0.84),
    "Pedigrees": (2, 0.46),
    "Letter.Group": (2, 0.63),
}
THURSTONE_PHI = {(0, 1): 0.59, (0, 2): 0.53, (1, 2): 0.52}
THURSTONE_SS = (2.65, 1.87, 1.49)
THURSTONE_OMEGA = {"alpha": 0.89, "omega_hierarchical": 0.74, "omega_total": 0.93}

# R psych on bfi, items 1-25, pairwise, n = 2,800.
BFI_KMO = 0.846
BFI_BARTLETT = (20_163.789, 300)
BFI_PARALLEL = 6
BFI_MAP = (5, 0.0148)
BFI_ALPHA = {"A": 0.703, "C": 0.727, "E": 0.762, "N": 0.814, "O": 0.600}
BFI_REVERSED = ("A1", "C4", "C5", "E1", "E2", "O2", "O5")
# psych::fa(bfi[1:10], 2): minres, oblimin.
BFI_10 = {"A1": -0.41, "A2": 0.68, "A3": 0.76, "A4": 0.44, "A5": 0.60} | {
    "C1": 0.57, "C2": 0.64, "C3": 0.54, "C4": -0.65, "C5": -0.56,
}  # fmt: skip
BFI_10_PHI, BFI_10_RMSEA, BFI_10_TLI = 0.32, 0.078, 0.864

# Kirk (1973): shares that say yes to the first, the second, to both -> tetrachoric correlation.
KIRK = ((0.5, 0.5, 0.333333, 0.5), (0.5, 0.5, 0.1150267, -0.75), (0.5, 0.5, 0.397584, 0.8))
