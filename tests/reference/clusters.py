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
