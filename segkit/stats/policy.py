"""Values of policies that give each customer an option, from randomised data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segkit.errors import DataError, ParameterError
from segkit.stats.intervals import Estimate, estimate, z_value

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Learner = Callable[[Ints, Ints, Floats], Ints]
LENT = 30.0  # weight of the pooled variance in a cell's, in customers, for normal outcomes
_GRID = 60


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Randomised data as codes: each customer's group, option and outcome.

    Attributes
    ----------
    group, option : array of int, shape (n,)
        Codes from 0.
    outcome : array of float, shape (n,)
        More is better (profit per customer).
    chance : array, shape (options,) or (groups, options)
        Probability with which the design gave each option.
    n_groups, n_options : int
    """

    group: Ints
    option: Ints
    outcome: Floats
    chance: Floats
    n_groups: int
    n_options: int

    @property
    def chances(self) -> Floats:
        """Probability of each option in each group, shape (groups, options)."""
        return np.broadcast_to(self.chance, (self.n_groups, self.n_options))


def lent_customers(trial: Trial) -> float:
    """Return the weight of the pooled variance in a cell's variance, in customers.

    The variance of an outcome that is zero for most rests on its few buyers: relative to its
    square, a sample variance has variance ``(kurtosis - 1) / n``, where a normal outcome has
    ``2 / n``. `LENT` normal customers are worth ``LENT (kurtosis - 1) / 2`` of these. Source:
    Cramer (1946), Mathematical Methods of Statistics, section 27.4.

    Examples
    --------
    >>> rare = np.zeros(1000)
    >>> rare[:10] = 1.0
    >>> code = np.arange(1000) % 2
    >>> trial = Trial(np.zeros(1000, dtype=int), code, rare, np.array([0.5, 0.5]), 1, 2)
    >>> round(lent_customers(trial))
    1455
    """
    code = trial.group * trial.n_options + trial.option
    n = np.bincount(code, minlength=trial.n_groups * trial.n_options)
    mean = np.bincount(code, trial.outcome, minlength=len(n)) / np.maximum(n, 1)
    square = (trial.outcome - mean[code]) ** 2
    variance = float(square.mean()) if len(square) else 0.0
    kurtosis = float((square**2).mean()) / variance**2 if variance > 0 else 3.0
    return LENT * max(1.0, (kurtosis - 1) / 2)


def cells(trial: Trial, rows: Ints | None = None) -> tuple[Floats, Floats, Floats]:
    """Return count, mean and variance (divisor n - 1) of the outcome by group and option."""
    group, option, y = trial.group, trial.option, trial.outcome
    if rows is not None:
        group, option, y = group[rows], option[rows], y[rows]
    size = trial.n_groups * trial.n_options
    code = group * trial.n_options + option
    n = np.bincount(code, minlength=size).astype(np.float64)
    total = np.bincount(code, y, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        residuals = y - mean[code]
        variance = np.bincount(code, residuals * residuals, minlength=size) / (n - 1)
    shape = (trial.n_groups, trial.n_options)
    return n.reshape(shape), mean.reshape(shape), np.where(n > 1, variance, np.nan).reshape(shape)


def shrink(
    n: Floats, mean: Floats, variance: Floats, lent: float = LENT
) -> tuple[Floats, Floats, float]:
    """Shrink cell means towards an additive model: group level plus option effect.

    The prior mean of a cell is its group's level plus its option's effect over all groups
    (weighted least squares); how far real cells lie from it is estimated by the method of
    moments, and each cell moves towards it by the share of its variance that is noise. Where the
    cells differ no more than by chance, all groups get the same best option.

    Source: Thompson & Sharp (1999), "Explaining heterogeneity in meta-analysis", Statistics in
    Medicine 18, the moment estimator with regressors.

    Returns
    -------
    (shrunken means, their standard errors, standard deviation of the true interaction)
    """
    error = cell_errors(n, mean, variance, lent)
    filled_cells = n > 0
    filled = np.where(filled_cells, mean, 0.0)
    w = np.where(filled_cells, 1 / error**2, 0.0)
    prior, removed = _additive(filled, w)
    groups, options = n.shape
    freedom = int(filled_cells.sum()) - groups - options + 1
    square = 0.0
    if freedom > 0 and w.sum() > removed:
        q = float((w * (filled - prior) ** 2).sum())
        square = max(0.0, (q - freedom) / (float(w.sum()) - removed))
    if square > 0:  # the prior once more, with the weights that the interaction implies
        prior, _ = _additive(filled, np.where(filled_cells, 1 / (error**2 + square), 0.0))
    keep = np.where(filled_cells, square / (square + error**2), 0.0)
    # The group's level has the precision of all the group's customers.
    common = np.sqrt(1 / np.maximum(w.sum(axis=0), 1 / error.max() ** 2))[None, :]
    errors = np.sqrt(
        keep**2 * error**2 + (1 - keep) ** 2 * (np.minimum(common, error) ** 2 + square)
    )
    return prior + keep * (filled - prior), errors, float(np.sqrt(square))


def cell_errors(n: Floats, mean: Floats, variance: Floats, lent: float = LENT) -> Floats:
    """Return standard errors of cell means; small cells' variances are pooled with all cells'.

    A cell without a conversion has a sample variance of zero, yet its mean is uncertain. So each
    variance is averaged with the pooled one, which counts as ``lent`` customers (`lent_customers`).
    """
    used = n > 1
    own = np.where(used, variance, 0.0)
    pooled = float(((n - 1) * own)[used].sum() / max(1.0, float((n - 1)[used].sum())))
    weight = np.where(used, n / (n + lent), 0.0)
    blended = weight * own + (1 - weight) * pooled
    scale = float(np.nanmax(np.abs(np.where(n > 0, mean, np.nan)))) if (n > 0).any() else 1.0
    least = (1e-6 * max(scale, 1e-12)) ** 2  # outcomes without any variation
    return np.asarray(np.sqrt(np.maximum(blended, least) / np.maximum(n, 0.5)))


def least_error(trial: Trial, policy: Ints, against: Ints | None = None) -> float:
    """Return a lower bound of the standard error of a policy's value, for few buyers.

    The value is a mean of cell means weighted by the groups' sizes; their errors are those of
    `cell_errors`. Against another policy only the groups count that it treats otherwise.
    """
    n, mean, variance = cells(trial)
    square = cell_errors(n, mean, variance, lent_customers(trial)) ** 2
    share = n.sum(axis=1) / n.sum()
    groups = np.arange(trial.n_groups)
    total = share**2 * square[groups, policy]
    if against is not None:
        total = np.where(against == policy, 0.0, total + share**2 * square[groups, against])
    return float(np.sqrt(total.sum()))


def interaction_test(trial: Trial) -> float:
    """Return the p-value of "every option does the same in every group" (chi-square, weighted).

    NaN with one group, or a cell of fewer than two customers.
    """
    from scipy.special import chdtrc

    n, mean, variance = cells(trial)
    if trial.n_groups < 2 or (n < 2).any():
        return float("nan")
    w = 1 / cell_errors(n, mean, variance, lent_customers(trial)) ** 2
    q = float((w * (mean - _additive(mean, w)[0]) ** 2).sum())
    return float(chdtrc((trial.n_groups - 1) * (trial.n_options - 1), q))


def _additive(mean: Floats, w: Floats) -> tuple[Floats, float]:
    """Fit group level + option effect by weighted least squares; also tr((X'WX)^- X'W^2X)."""
    X, flat = _design(*mean.shape), w.ravel()
    inverse = np.linalg.pinv((X * flat[:, None]).T @ X, hermitian=True)
    fitted = X @ (inverse @ (X.T @ (flat * mean.ravel())))
    removed = float(np.trace(inverse @ ((X * flat[:, None] ** 2).T @ X)))
    return np.asarray(fitted.reshape(mean.shape)), removed


def learn_best(trial: Trial, rows: Ints, *, method: str = "shrunken") -> Ints:
    """Return each group's best option as learnt from some rows.

    Parameters
    ----------
    method : {"shrunken", "mean", "single"}
        By shrunken cell means, by plain ones, or the one option that is best for all groups
        together.

    Raises
    ------
    ParameterError
        If the method is unknown.
    """
    n, mean, variance = cells(trial, rows)
    if method == "single":
        size = n.sum(axis=1, keepdims=True)
        means = np.where(n > 0, mean, np.nanmean(np.where(n > 0, mean, np.nan), axis=0))
        best = int(np.argmax((size * means).sum(axis=0)))
        return np.full(trial.n_groups, best, dtype=np.int64)
    if method == "mean":
        return np.asarray(np.argmax(np.where(n > 0, mean, -np.inf), axis=1), dtype=np.int64)
    if method != "shrunken":
        raise ParameterError(f"method must be shrunken, mean or single, got {method!r}")
    shrunken = shrink(n, mean, variance, lent_customers(trial))[0]
    # Exact ties (no interaction) go to the first option that is best, in every group alike.
    top = shrunken.max(axis=1, keepdims=True)
    first = np.argmax(shrunken >= top - 1e-12 * (1 + np.abs(top)), axis=1)
    return np.asarray(first, dtype=np.int64)


def split_folds(trial: Trial, folds: int, seed: int | np.random.Generator) -> Ints:
    """Assign customers to folds at random, evenly within every group and option.

    Raises
    ------
    ParameterError
        If there are fewer than two folds.
    """
    if folds < 2:
        raise ParameterError(f"folds must be at least 2, got {folds}")
    rng = np.random.default_rng(seed)
    code = trial.group * trial.n_options + trial.option
    order = np.lexsort((rng.random(len(code)), code))
    starts = np.flatnonzero(np.r_[True, np.diff(code[order]) != 0])
    sizes = np.diff(np.r_[starts, len(code)])
    rank = np.arange(len(code)) - np.repeat(starts, sizes)
    shift = np.repeat(rng.integers(folds, size=len(starts)), sizes)
    fold = np.empty(len(code), dtype=np.int64)
    fold[order] = (rank + shift) % folds
    return fold


def rounds(folds: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield for each fold the rows of all earlier folds (to learn) and its own (to evaluate).

    Examples
    --------
    >>> [(a.tolist(), b.tolist()) for a, b in rounds(np.array([0, 1, 2, 0]))]
    [([0, 3], [1]), ([0, 1, 3], [2])]
    """
    for fold in np.unique(folds)[1:]:
        yield np.flatnonzero(folds < fold), np.flatnonzero(folds == fold)


def honest_scores(
    trial: Trial, learners: Mapping[str, Callable[[Ints], Ints]], folds: Ints
) -> dict[str, Floats]:
    """Return customers' contributions to the value of policies learnt from earlier folds only.

    ``m(g, pi) + 1{got pi} / chance (y - m(g, pi))`` with the policy pi and the cell means m from
    the folds before the customer's: unbiased for the value of what was learnt there, whatever m
    is, because the chances are the design's. Their mean estimates the mean value of the policies
    learnt from the first, the first two, ... folds, weighted by the customers they are valued on.

    Two-fold cross-fitting (learn on each half, evaluate on the other) would use every customer. But
    where options are nearly equal, the errors of its two halves are correlated, as the noise of a
    half both chooses one policy and evaluates the other. With six equal options the variance is a
    third larger than the scores show. When a policy is learnt from earlier folds only, each fold's
    error has mean zero given all earlier folds. The errors are then uncorrelated, and the scores
    give the right variance, also with equal options.

    Parameters
    ----------
    trial : Trial
    learners : mapping
        Name to a function from the rows to learn on to each group's option.
    folds : array of int
        Their order is the order of learning.

    Returns
    -------
    dict of str to array (customers outside the first fold,)
        In the trial's order.

    Notes
    -----
    Source of the scores: Robins, Rotnitzky & Zhao (1994), JASA 89; Athey & Wager (2021), "Policy
    learning with observational data", Econometrica 89, eq. (8). Of learning forward: Luedtke &
    van der Laan (2016), "Statistical inference for the mean outcome under a possibly non-unique
    optimal treatment strategy", Annals of Statistics 44.
    """
    collected = {name: np.full(len(trial.outcome), np.nan) for name in learners}
    for rest, fold in rounds(folds):
        n, mean, _ = cells(trial, rest)
        overall = float(trial.outcome[rest].mean())
        guess = np.where(n > 0, mean, overall)
        for name, learn in learners.items():
            collected[name][fold] = _scores(trial, fold, learn(rest), guess)
    valued = folds != folds.min()
    return {name: scores[valued] for name, scores in collected.items()}


def _scores(trial: Trial, rows: Ints, policy: Ints, guess: Floats) -> Floats:
    group, option = trial.group[rows], trial.option[rows]
    chosen = policy[group]
    base = guess[group, chosen]
    got = option == chosen
    chance = trial.chances[group, chosen]
    if (chance <= 0).any():
        raise DataError("a policy chose an option that the design never gave to its group")
    return np.asarray(base + got / chance * (trial.outcome[rows] - base))


def value_of(scores: Floats, *, level: float = 0.95, least: float = 0.0) -> Estimate:
    """Return the mean of contributions with its normal interval.

    Parameters
    ----------
    scores : array
    level : float
    least : float
        The standard error is at least this (`least_error`).

    Examples
    --------
    >>> round(value_of(np.array([0.0, 1.0, 2.0, 3.0])).low, 3)
    0.235
    """
    n = len(scores)
    mean = float(scores.mean()) if n else float("nan")
    error = max(float(scores.std(ddof=1) / np.sqrt(n)), least) if n > 1 else float("nan")
    reach = z_value(level) * error
    return estimate(mean, mean - reach, mean + reach, level, "learnt forward, doubly robust")


def joint_errors(n: Floats, mean: Floats, variance: Floats, lent: float = LENT) -> Floats:
    """Return a factor L of the errors of `segkit.stats.policy.shrink`'s means: covariance L L'.

    Shrunken cells share what they are shrunken to: an option's effect that is too high by chance is
    too high in every group. With cells normal about "group level + option effect" (flat priors on
    both, X) with spread tau, the posterior covariance given tau is
    ``diag(tau^2 (1 - K)) + (I - K) P (I - K)``, where ``K = tau^2 / (tau^2 + error^2)`` and
    ``P = X (X' W X)^- X'``, ``W = 1 / (tau^2 + error^2)``. It is averaged over tau's posterior
    (flat prior, restricted likelihood, a grid), with the square of how far the means for that tau
    lie from those that `shrink` gives.

    Parameters
    ----------
    n, mean, variance : array of shape (groups, options)
        As `segkit.stats.policy.cells` gives them.

    Returns
    -------
    array of shape (groups * options, groups * options)
        Lower triangular, cells row by row: ``L @ z`` with independent standard normal z is a draw
        of the errors, and the length of a row is the cell's standard error.

    Notes
    -----
    Source: Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., section 5.4, with regressors
    (15.3); Harville (1977), JASA 72, for the restricted likelihood.

    Examples
    --------
    >>> n, mean = np.full((2, 2), 100.0), np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> factor = joint_errors(n, mean, np.full((2, 2), 25.0))
    >>> gain = factor[[1, 3]] - factor[[0, 2]]  # of the second option, in either group
    >>> bool(gain[0] @ gain[1] > 0)
    True
    """
    shrunken, _, spread = shrink(n, mean, variance, lent)
    filled = (n > 0).ravel()
    square = cell_errors(n, mean, variance, lent).ravel() ** 2
    y = np.where(filled, mean.ravel(), 0.0)
    X = _design(*n.shape)
    freedom = int(filled.sum()) - sum(n.shape) + 1
    top = 5 * max(spread, float(np.sqrt(np.median(square[filled])))) if freedom > 0 else 0.0
    parts = [_given(tau**2, y, square, filled, X) for tau in np.linspace(0, top, _GRID)]
    loglik = np.array([part[0] for part in parts])
    weight = np.exp(loglik - loglik.max())
    weight = weight / weight.sum()
    covariance = np.zeros((n.size, n.size))
    for share, (_, means, own) in zip(weight, parts, strict=True):
        away = means - shrunken.ravel()
        covariance += share * (own + np.outer(away, away))
    covariance[np.diag_indices(n.size)] *= 1 + 1e-9
    return np.asarray(np.linalg.cholesky(covariance))


def _design(groups: int, options: int) -> Floats:
    """Return the columns of each group's level and of each option but the first."""
    rows, columns = np.divmod(np.arange(groups * options), options)
    return np.hstack([np.eye(groups)[rows], np.eye(options)[columns, 1:]])


def _given(
    tau2: float, y: Floats, square: Floats, filled: npt.NDArray[np.bool_], X: Floats
) -> tuple[float, Floats, Floats]:
    """Return the restricted log-likelihood, the cells' means and covariance, given tau."""
    w = np.where(filled, 1 / (square + tau2), 0.0)
    information = (X * w[:, None]).T @ X
    eigen, axes = np.linalg.eigh(information)
    determined = eigen > 1e-10 * eigen.max()  # a group or option that nobody got tells nothing
    inverse = (axes[:, determined] / eigen[determined]) @ axes[:, determined].T
    prior = X @ (inverse @ (X.T @ (w * y)))
    loglik = np.log(w[filled]).sum() - np.log(eigen[determined]).sum()
    loglik = 0.5 * (loglik - (w * (y - prior) ** 2).sum())
    keep = tau2 * w
    weighted = (1 - keep)[:, None] * X
    covariance = weighted @ inverse @ weighted.T
    covariance[np.diag_indices(len(y))] += tau2 * (1 - keep)
    return float(loglik), prior + keep * (y - prior), covariance
