"""Regressions by family of the outcome, fitted by statsmodels and brought to one form."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from segkit.display import counted
from segkit.errors import DataError
from segkit.regression.design import Design, Floats, Ints

Family = Literal[
    "auto",
    "counts",
    "poisson",
    "negative binomial",
    "zero-inflated poisson",
    "zero-inflated negative binomial",
    "gamma",
    "log-linear",
    "logistic",
]
COUNTS = (
    "poisson",
    "negative binomial",
    "zero-inflated poisson",
    "zero-inflated negative binomial",
)
SPENDS = ("gamma", "log-linear")
FAMILIES = (*COUNTS, *SPENDS, "logistic")
_MOST = 30.0
_FLAT = 0.01  # standard errors by which a step of Newton may still move a converged fit


def sandwich(
    scores: Floats, bread: Floats, *, leverage: Floats | None = None, clusters: Ints | None = None
) -> Floats:
    """Return the covariance of estimates from the scores of their rows.

    Parameters
    ----------
    scores : ndarray, shape (rows, parameters)
        Each row's part in the gradient of the log-likelihood.
    bread : ndarray, shape (parameters, parameters)
        Inverse of the negative Hessian.
    leverage : ndarray, shape (rows,), optional
        Diagonal of the (weighted) hat matrix: gives HC3 (MacKinnon & White 1985; Long & Ervin
        2000); without it HC1.
    clusters : ndarray of int, shape (rows,), optional
        Gives CR1: scores summed within clusters, times G/(G-1) * (n-1)/(n-k).

    Raises
    ------
    DataError
        If clusters are fewer than two.

    Examples
    --------
    >>> X, r = np.array([[1.0, 0], [1, 1], [1, 2], [1, 4]]), np.array([0.5, -1, 0.25, 0.25])
    >>> bread = np.linalg.inv(X.T @ X)
    >>> sandwich(X * r[:, None], bread).shape
    (2, 2)
    """
    n, k = scores.shape
    if clusters is not None:
        groups = int(clusters.max()) + 1
        if groups < 2:
            raise DataError("clustered errors need at least two clusters")
        summed = np.stack([np.bincount(clusters, s, groups) for s in scores.T], axis=1)
        factor = groups / (groups - 1) * (n - 1) / max(n - k, 1)
        return np.asarray(factor * bread @ (summed.T @ summed) @ bread)
    if leverage is None:
        return np.asarray(n / max(n - k, 1) * bread @ (scores.T @ scores) @ bread)
    pulled = scores / np.clip(1 - leverage, 1e-6, None)[:, None]
    return np.asarray(bread @ (pulled.T @ pulled) @ bread)


def leverages(X: Floats, weights: Floats) -> Floats:
    """Return the diagonal of the hat matrix of weighted least squares.

    Examples
    --------
    >>> leverages(np.array([[1.0, 0], [1, 1], [1, 2]]), np.ones(3)).round(4).tolist()
    [0.8333, 0.3333, 0.8333]
    """
    root = X * np.sqrt(weights)[:, None]
    Q = np.linalg.qr(root)[0]
    return np.asarray((Q**2).sum(axis=1))


def separating(X: Floats, y: Floats, *, binary: bool) -> list[int]:
    """Return the columns that cause separation: the likelihood then has no maximum.

    A linear programme looks for a direction that never contradicts the outcome and agrees with it
    somewhere (Konis 2007, thesis, Oxford; for counts: Correia, Guimarães & Zylkin 2021, "zeros
    perfectly predicted").

    Parameters
    ----------
    X : ndarray, shape (rows, columns)
        Standardised, without a constant.
    y : ndarray, shape (rows,)
    binary : bool
        Outcome of zeros and ones; else counts.

    Returns
    -------
    list of int
        Empty where there is no such direction.

    Examples
    --------
    >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> separating(x, np.array([0.0, 0, 1, 1]), binary=True)
    [0]
    >>> separating(x, np.array([0.0, 1, 0, 1]), binary=True)
    []
    """
    from scipy.optimize import linprog

    full = np.column_stack([np.ones(len(X)), X])
    none, some = y == 0, y > 0
    if binary:
        agree = np.where(some, 1.0, -1.0)[:, None] * full
        optimum = linprog(
            -agree.sum(axis=0), A_ub=-agree, b_ub=np.zeros(len(agree)), bounds=(-1, 1)
        )
    else:
        falling = -full[none]
        fixed = np.linalg.qr(full[some], mode="r")
        optimum = linprog(
            -falling.sum(axis=0),
            A_ub=-falling,
            b_ub=np.zeros(len(falling)),
            A_eq=fixed,
            b_eq=np.zeros(len(fixed)),
            bounds=(-1, 1),
        )
    if optimum.status != 0 or -optimum.fun <= 1e-6:
        return []
    return [int(k) for k in np.flatnonzero(np.abs(optimum.x[1:]) > 1e-7)]


def check_separation(X: Floats, y: Floats, names: Sequence[str], *, binary: bool) -> None:
    """Raise ``DataError`` naming the predictors that predict the outcome perfectly."""
    places = separating(X, y, binary=binary)
    if not places:
        return
    for k in list(places):  # reduce to the fewest columns that separate
        fewer = [j for j in places if j != k]
        if fewer and separating(X[:, fewer], y, binary=binary):
            places = fewer
    named = ", ".join(names[k] for k in places)
    what = "the outcome" if binary else "zeros"
    raise DataError(
        f"{named} {'predicts' if len(places) == 1 else 'together predict'} {what} perfectly "
        "(separation): no finite effect fits best. Drop it, or pool the level that causes it"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted regression on standardised columns.

    Attributes
    ----------
    family : str
    params : ndarray, shape (terms + 1,)
        Constant first; on columns with mean 0 and standard deviation 1.
    covariance : ndarray, shape (terms + 1, terms + 1)
        Robust or clustered.
    dof : float
        Degrees of freedom of t intervals; infinite for normal ones.
    errors : str
        How the covariance was found.
    extra : dict of str to float
        alpha (negative binomial), share_of_zeros (structural ones, zero-inflated), scale.
    loglike : float
    n_params : int
    """

    family: str
    params: Floats
    covariance: Floats
    dof: float
    errors: str
    extra: dict[str, float]
    loglike: float
    n_params: int

    def bic(self, n: int) -> float:
        """Return the Bayesian information criterion at n rows."""
        return -2 * self.loglike + self.n_params * float(np.log(n))

    def mean(self, Z: Floats, exposure: Floats | None) -> Floats:
        """Return the expected outcome of standardised rows."""
        eta = self.params[0] + Z @ self.params[1:]
        if exposure is not None:
            eta = eta + np.log(exposure)
        if self.family == "logistic":
            return np.asarray(1 / (1 + np.exp(-np.clip(eta, -_MOST, _MOST))))
        mean = np.exp(np.clip(eta, -_MOST, _MOST))
        if self.family == "log-linear":
            return np.asarray(mean * self.extra["smearing"])
        return np.asarray(mean * (1 - self.extra.get("share_of_zeros", 0.0)))


def standardise(design: Design) -> tuple[Floats, Floats, Floats]:
    """Return the columns at mean 0 and standard deviation 1, with both."""
    mean, sd = design.X.mean(axis=0), design.X.std(axis=0)
    return (design.X - mean) / sd, mean, sd


def fit_family(family: str, Z: Floats, design: Design, *, start: Fit | None = None) -> Fit:
    """Fit one family on standardised columns.

    Parameters
    ----------
    family : str
    Z : ndarray, shape (rows, terms)
    design : Design
    start : Fit, optional
        A fit of counts from which to start: the same family on other rows, or a simpler one. By
        default a Poisson regression.

    Raises
    ------
    DataError
        If the outcome does not suit the family, predictors separate it, or no fit converges.
    """
    y = design.y
    check_outcome(family, y)
    full = np.column_stack([np.ones(len(Z)), Z])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # statsmodels warns of what is checked just below
        if family in ("poisson", "gamma", "logistic"):
            return _glm(family, full, y, design)
        if family == "log-linear":
            return _log_linear(full, y, design)
        return _counts(family, full, y, design, start)


def check_outcome(family: str, y: Floats) -> None:
    """Raise ``DataError`` where an outcome does not suit a family."""
    if family == "logistic" and not np.isin(y, (0.0, 1.0)).all():
        raise DataError("logistic regression needs an outcome of 0 and 1 (or yes and no)")
    if family in COUNTS and ((y < 0).any() or (y != np.round(y)).any()):
        raise DataError(f"{family} regression needs counts: whole numbers, none below zero")
    if family in SPENDS and (y <= 0).any():
        raise DataError(
            f"{family} regression needs amounts above zero; {int((y <= 0).sum()):,} of {len(y):,} "
            "are not. Fit two models: who buys (logistic), and the spend of buyers."
        )


def _covariance(
    scores: Floats, bread: Floats, leverage: Floats | None, design: Design
) -> tuple[Floats, str, float]:
    if design.clusters is not None:
        groups = int(design.clusters.max()) + 1
        covariance = sandwich(scores, bread, clusters=design.clusters)
        return covariance, f"clustered ({counted(groups, 'cluster')}, CR1)", float(groups - 1)
    kind = "HC1" if leverage is None else "HC3"
    return sandwich(scores, bread, leverage=leverage), f"robust ({kind})", float("inf")


def _glm(family: str, X: Floats, y: Floats, design: Design) -> Fit:
    import statsmodels.api as sm

    kinds = {
        "poisson": sm.families.Poisson(),
        "gamma": sm.families.Gamma(sm.families.links.Log()),
        "logistic": sm.families.Binomial(),
    }
    offset = None if design.exposure is None else np.log(design.exposure)
    if family == "logistic" and offset is not None:
        raise DataError("a logistic regression takes no exposure; give it as a predictor")
    model = sm.GLM(y, X, family=kinds[family], offset=offset)
    try:
        fitted = model.fit(maxiter=100, tol=1e-10)
    except (np.linalg.LinAlgError, ValueError):
        fitted = None
    if family == "gamma" and (fitted is None or not fitted.converged):
        # Least squares overshoots where amounts lie far apart; a line search cannot: the
        # likelihood has one peak.
        start = np.linalg.lstsq(X, np.log(y) - (0.0 if offset is None else offset), rcond=None)[0]
        fitted = model.fit(start_params=start, method="bfgs", maxiter=1000, gtol=1e-8, disp=0)
    if family != "gamma":
        _check_runaway(X, y, design, fitted, binary=family == "logistic")
    if fitted is None or not np.isfinite(fitted.params).all():
        raise DataError(f"the {family} regression did not converge")
    mu = fitted.fittedvalues
    weights = {"poisson": mu, "gamma": np.ones(len(y)), "logistic": mu * (1 - mu)}[family]
    gap = (y - mu) / mu if family == "gamma" else y - mu
    # The observed information: for gamma with a log link it is not the expected one.
    observed = y / mu if family == "gamma" else weights
    bread = np.linalg.inv((X * observed[:, None]).T @ X)
    leverage = leverages(X, weights)
    covariance, errors, dof = _covariance(X * gap[:, None], bread, leverage, design)
    extra = {"scale": float(fitted.scale)} if family == "gamma" else {}
    loglike = float(fitted.llf)
    return Fit(family, fitted.params, covariance, dof, errors, extra, loglike, X.shape[1])


def _check_runaway(X: Floats, y: Floats, design: Design, fitted: Any, *, binary: bool) -> None:
    """Look for separation where a fit did not converge, or values or coefficients run away."""
    runaway = fitted is None or not fitted.converged or bool(np.abs(fitted.params[1:]).max() > 5)
    if fitted is not None and not runaway:
        mu = fitted.fittedvalues
        edge = (mu < 1e-7) | (mu > 1 - 1e-7) if binary else mu < 1e-7
        runaway = bool(edge.any())
    if runaway:
        labels = [term.label for term in design.terms]
        check_separation(X[:, 1:], y, labels, binary=binary)


def _log_linear(X: Floats, y: Floats, design: Design) -> Fit:
    import statsmodels.api as sm

    if design.exposure is not None:
        raise DataError("a log-linear regression takes no exposure; give its log as a predictor")
    fitted = sm.OLS(np.log(y), X).fit()
    bread: Floats = np.asarray(np.linalg.inv(X.T @ X), dtype=np.float64)
    scores = X * np.asarray(fitted.resid, dtype=np.float64)[:, None]
    leverage = leverages(X, np.ones(len(y), dtype=np.float64))
    covariance, errors, dof = _covariance(scores, bread, leverage, design)
    dof = min(dof, float(fitted.df_resid))
    # Duan (1983): the mean of exp(residual) takes the fitted log back to the mean.
    extra = {"sigma": float(np.sqrt(fitted.scale)), "smearing": float(np.exp(fitted.resid).mean())}
    loglike = float(fitted.llf - np.log(y).sum())
    return Fit("log-linear", fitted.params, covariance, dof, errors, extra, loglike, X.shape[1] + 1)


def _counts(family: str, X: Floats, y: Floats, design: Design, start: Fit | None) -> Fit:
    start = start or _glm("poisson", X, y, design)
    model = _count_model(family, X, y, design)
    inflated, dispersed = family.startswith("zero"), family.endswith("negative binomial")
    first = _start_params(start, X, y, design, inflated=inflated, dispersed=dispersed)
    try:
        fitted = model.fit(
            start_params=first, method="bfgs", gtol=1e-8, maxiter=500, disp=0, skip_hessian=True
        )
        scores = model.score_obs(fitted.params)
        hessian = _hessian(model, fitted.params, inflated=inflated)
        bread: Floats = np.asarray(np.linalg.inv(-hessian), dtype=np.float64)
    except (np.linalg.LinAlgError, ValueError) as error:
        raise DataError(f"the {family} regression did not converge: {error}") from error
    gradient = np.abs(scores.sum(axis=0)) * np.sqrt(np.abs(np.diagonal(bread)))
    if not np.isfinite(bread).all() or gradient.max() > _FLAT:
        raise DataError(f"the {family} regression did not converge")
    params = np.asarray(fitted.params, dtype=np.float64)
    mean_params = slice(1, X.shape[1] + 1) if inflated else slice(0, X.shape[1])
    extra = {"alpha": float(params[-1])} if dispersed else {}
    if inflated:
        extra["share_of_zeros"] = float(1 / (1 + np.exp(-params[0])))
    leverage = None
    if not inflated:
        mu = _log_mean(X, params[mean_params], design)
        leverage = leverages(X, mu / (1 + extra.get("alpha", 0.0) * mu))
    covariance, errors, dof = _covariance(scores, bread, leverage, design)
    return Fit(
        family,
        params[mean_params],
        covariance[mean_params, mean_params],
        dof,
        errors,
        extra,
        float(fitted.llf),
        len(params),
    )


def _log_mean(X: Floats, params: Floats, design: Design) -> Floats:
    exposure = 1.0 if design.exposure is None else design.exposure
    return np.asarray(exposure * np.exp(np.clip(X @ params, -_MOST, _MOST)))


def _start_params(
    start: Fit, X: Floats, y: Floats, design: Design, *, inflated: bool, dispersed: bool
) -> Floats:
    """Start from a simpler fit: its coefficients, the moments' dispersion, its excess of zeros."""
    mu = _log_mean(X, start.params, design)
    alpha = start.extra.get("alpha", 0.0)
    params = start.params.copy()
    first: list[float] = []
    if inflated:
        share = start.extra.get("share_of_zeros", 0.0)
        if not share:
            zeros = zero_probability(mu, alpha)
            share = float(np.clip(((y == 0) - zeros).sum() / (1 - zeros).sum(), 0.01, 0.9))
            params[0] -= np.log1p(-share)  # the same mean outcome
        first = [float(np.log(share / (1 - share)))]
    if dispersed and not alpha:
        alpha = max(float(((y - mu) ** 2 - y).sum() / (mu**2).sum()), 0.01)
    return np.array([*first, *params, *([alpha] if dispersed else [])])


def _hessian(model: Any, params: Floats, *, inflated: bool) -> Floats:
    """Return the Hessian of the log-likelihood.

    statsmodels 0.15 leaves out the mixed derivatives of zero-inflated models (it overwrites them
    with zeros), or differentiates the likelihood twice; here the score is differentiated once.
    """
    if not inflated:
        return np.asarray(model.hessian(params), dtype=np.float64)
    from statsmodels.tools.numdiff import approx_fprime

    slopes = np.asarray(approx_fprime(params, model.score, centered=True), dtype=np.float64)
    return (slopes + slopes.T) / 2


def zero_probability(mu: Floats, alpha: float) -> Floats:
    """Return the probability of no event at all, Poisson or (alpha > 0) negative binomial."""
    if alpha <= 0:
        return np.exp(-mu)
    return np.asarray(np.exp(-np.log1p(alpha * mu) / alpha))


def _count_model(family: str, X: Floats, y: Floats, design: Design) -> Any:
    from statsmodels.discrete import count_model as zeros
    from statsmodels.discrete import discrete_model as plain

    if family == "negative binomial":
        return plain.NegativeBinomial(y, X, loglike_method="nb2", exposure=design.exposure)
    if family == "zero-inflated poisson":
        return zeros.ZeroInflatedPoisson(y, X, exposure=design.exposure)
    return zeros.ZeroInflatedNegativeBinomialP(y, X, exposure=design.exposure, p=2)
