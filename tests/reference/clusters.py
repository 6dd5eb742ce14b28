"""Published and independently computed figures for clusters."""

# scikit-learn's iris; k-means (25 starts) and Ward, R 4.3 stats and cluster, clusterSim.
IRIS_KMEANS = {
    # k: within sum of squares, mean silhouette
    2: (152.348, 0.6810),
    3: (78.851, 0.5528),
    4: (57.228, 0.4981),
}
IRIS_KMEANS_3 = {"calinski_harabasz": 561.628, "davies_bouldin": 0.662, "ari_with_species": 0.730}
IRIS_WARD_3 = {"sizes": (36, 50, 64), "silhouette": 0.5543, "calinski_harabasz": 558.06}
# Clusterwise bootstrap Jaccard (R fpc::clusterboot, B = 100, k-means), +-.03.
IRIS_JACCARD = {3: (0.93, 0.94, 1.00), 4: (0.83, 0.85, 0.93, 1.00)}
# R mclust, unconstrained covariances, -BIC from k = 2 and 3 (Fraley & Raftery's iris example).
IRIS_BIC = {2: 574.02, 3: 580.84}
# R cluster 2.1, pam(iris[, 1:4], 3): medoids (from 1), sizes, objective after build and swap.
IRIS_PAM_3 = {
    "medoids": (8, 79, 113),
    "sizes": (50, 62, 38),
    "build": 0.6709391,
    "swap": 0.6542077,
    "silhouette": 0.5528,
}
# R cluster, daisy(flower): rows 1-3 of the data (V7 from 20 to 200, V8 from 10 to 60 in all of it).
FLOWER = {
    "V1": (0, 1, 0), "V2": (1, 0, 1), "V3": (1, 0, 0), "V4": (4, 2, 3), "V5": (3, 1, 3),
    "V6": (15, 3, 1), "V7": (25, 150, 150), "V8": (15, 50, 50),
}  # fmt: skip
FLOWER_GOWER = {(0, 1): 0.8875408, (0, 2): 0.5272467, (1, 2): 0.5147059}
# Seven pathologists' yes/no diagnoses of 118 slides, Agresti (2002), table 13.1, by pattern; the
# latent classes of Linzer and Lewis (2011), "poLCA", J. Statistical Software 42(10), section 5.1.
CARCINOMA = {
    "0000000": 34, "0000100": 2, "0100000": 6, "0100001": 1, "0100100": 4, "0100101": 5,
    "1000000": 2, "1010101": 1, "1100000": 2, "1100001": 1, "1100100": 2, "1100101": 7,
    "1100111": 1, "1101001": 1, "1101101": 2, "1101111": 3, "1110101": 13, "1110111": 5,
    "1111101": 10, "1111111": 16,
}  # fmt: skip
# k: log-likelihood, BIC.
CARCINOMA_CLASSES = {
    1: (-524.4648, 1082.324),
    2: (-317.2568, 706.0739),
    3: (-293.705, 697.1357),
    4: (-289.2858, 726.4629),
}
CARCINOMA_SHARES_3 = (0.1817, 0.3736, 0.4447)
# Fast food, 11 yes/no items: StepMix 3.0.0, measurement="binary", best of 10 starts (log L).
FAST_FOOD_CLASSES = {2: -7610.8362, 3: -7311.479, 4: -7111.110, 5: -7011.168}
