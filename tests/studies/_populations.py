"""Populations of known structure: mixtures of groups, and continua without any."""

import numpy as np

BALLS = {"disk": 2, "ball": 4, "ball in 6 dimensions": 6}


def mixture(seed, *, k, d=4, n=500, apart=6.0, shape="round"):
    """Draw k groups whose centres lie at least ``apart`` within-group standard deviations apart.

    Shares are Dirichlet(5), none below 8% by design of the draw; "long" groups have covariances
    with eigenvalues from 1/4 to 1 in random directions; "skewed" ones are shifted lognormal.
    """
    rng = np.random.default_rng(seed)
    centres = np.empty((0, d))
    side = apart * 1.1
    while len(centres) < k:
        point = rng.uniform(-side, side, size=d)
        if all(np.linalg.norm(point - other) >= apart for other in centres):
            centres = np.vstack([centres, point])
    while True:
        shares = rng.dirichlet(np.full(k, 5.0))
        if shares.min() >= 0.08:
            break
    truth = rng.choice(k, n, p=shares)
    noise = rng.normal(size=(n, d))
    if shape == "long":
        for group in range(k):
            turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
            scale = np.sqrt(np.geomspace(0.25, 1.0, d))
            noise[truth == group] = noise[truth == group] * scale @ turn
    elif shape == "skewed":
        noise = (np.exp(0.5 * noise) - np.exp(0.125)) / np.sqrt(np.exp(0.5) - np.exp(0.25))
    return centres[truth] + noise, truth


def continuum(seed, kind, *, n=500):
    """Draw customers without groups."""
    rng = np.random.default_rng(seed)
    if kind == "normal":
        root = rng.normal(size=(4, 4))
        return rng.normal(size=(n, 4)) @ root
    if kind == "uniform":
        return rng.random((n, 3))
    if kind == "simplex":
        return rng.dirichlet(np.ones(4), n)[:, :3]
    if kind in BALLS:  # uniform in a ball; a disk is one of two dimensions
        d = BALLS[kind]
        ball = rng.normal(size=(n, d))
        return ball / np.linalg.norm(ball, axis=1, keepdims=True) * rng.random((n, 1)) ** (1 / d)
    if kind == "t3":
        return rng.normal(size=(n, 3)) / np.sqrt(rng.chisquare(3, (n, 1)) / 3)
    if kind == "lognormal":
        return np.exp(rng.multivariate_normal(np.zeros(3), 0.5 * (np.eye(3) + 1), n))
    rate = rng.gamma(1.2, 2.0, n)  # purchases a year: a gamma mixture of Poissons, one at least
    frequency = 1 + rng.poisson(rate)
    recency = np.minimum(rng.exponential(365 / (1 + rate)), 730).round()
    monetary = np.exp(3.5 + 0.6 * rng.normal(size=n)) * frequency
    table = np.log1p(np.c_[recency, frequency, monetary])
    if kind == "rfm_log":
        return (table - table.mean(axis=0)) / table.std(axis=0)
    raw = np.expm1(table)
    return (raw - raw.mean(axis=0)) / raw.std(axis=0)
