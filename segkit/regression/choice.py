"""Which distribution do the counts ask for? Dispersion and zeros, tested."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError, ParameterError, unknown
from segkit.regression.checks import probability
from segkit.regression.columns import Design, Floats
from segkit.regression.families import COUNTS, FAMILIES, Fit, fit_family

_LEVEL = 0.05
_MANY = 2.0  # standard errors by which zeros exceed those expected
_CLEARLY = 6.0  # a BIC lower by so much counts as clear (Kass & Raftery 1995: "strong")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The fit chosen and the tests that led to it.

    Attributes
    ----------
    fit : Fit
    tests : polars.DataFrame
        test, statistic, p_value (null where there is none), verdict.
    """

    fit: Fit
    tests: pl.DataFrame


SCHEMA = {"test": pl.String, "statistic": pl.Float64, "p_value": pl.Float64, "verdict": pl.String}
Row = tuple[str, float, float | None, str]


def choose(family: str, Z: Floats, design: Design) -> Choice:
    """Fit the family asked for, or the one that the outcome asks for.

    "auto": yes/no outcomes are logistic, whole numbers from zero counts, positive amounts gamma.
    "counts": Poisson, unless the variance outgrows the mean (then negative binomial), with extra
    zeros where the fit leaves too few and a zero-inflated one is clearly better (BIC).

    Raises
    ------
    ParameterError
        If the family is unknown.
    DataError
        If no family suits the outcome.
    """
    if family not in (*FAMILIES, "auto", "counts"):
        raise ParameterError(unknown("family", family, ("auto", "counts", *FAMILIES)))
    kind = suited(design.y) if family == "auto" else family
    if kind == "counts":
        return _counts(Z, design)
    fit = fit_family(kind, Z, design)
    rows: list[Row] = []
    if kind in COUNTS:
        mean = fit.mean(Z, design.exposure)
        if kind == "poisson":
            rows.append(_told(dispersion(design.y, mean)))
        rows.append(_zeros(fit, design, mean)[0])
    return Choice(fit, pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def suited(y: Floats) -> str:
    """Name the kind of regression that suits an outcome.

    Examples
    --------
    >>> suited(np.array([0.0, 1.0])), suited(np.array([0.0, 4.0])), suited(np.array([0.5, 2.0]))
    ('logistic', 'counts', 'gamma')
    """
    if np.isin(y, (0.0, 1.0)).all():
        return "logistic"
    if (y >= 0).all() and (y == np.round(y)).all():
        return "counts"
    if (y > 0).all():
        return "gamma"
    raise DataError(
        "the outcome is neither yes/no, nor counts, nor amounts above zero: name the family, or "
        "fit whether it is above zero (logistic) and how much (gamma) apart"
    )


def dispersion(y: Floats, mean: Floats) -> tuple[float, float, float]:
    """Test that the variance equals the mean (Cameron & Trivedi 1990, J. Econometrics 46, 347).

    Returns
    -------
    (float, float, float)
        alpha of variance = mean + alpha x mean^2, its robust t value, and the one-sided p-value
        against overdispersion.

    Examples
    --------
    >>> y = np.array([0.0, 0, 0, 0, 0, 0, 9, 12, 0, 8])
    >>> alpha, t, p = dispersion(y, np.full(10, 2.9))
    >>> alpha > 0, p < 0.05
    (True, True)
    """
    from scipy.stats import norm

    excess = ((y - mean) ** 2 - y) / mean
    weight = float((mean**2).sum())
    alpha = float((mean * excess).sum()) / weight
    error = float(np.sqrt((mean**2 * (excess - alpha * mean) ** 2).sum())) / weight
    t = alpha / error if error > 0 else 0.0
    return alpha, t, float(norm.sf(t))


def _told(found: tuple[float, float, float]) -> Row:
    alpha, t, p = found
    verdict = (
        f"the variance outgrows the mean (excess {number(alpha)} times the squared mean)"
        if p < _LEVEL
        else "no sign that the variance outgrows the mean"
    )
    return ("dispersion (Cameron-Trivedi)", t, p, verdict)


def _zeros(fit: Fit, design: Design, mean: Floats) -> tuple[Row, float]:
    """Compare the zeros with those that the fit expects; z by the independence of rows."""
    p = probability(fit, mean, 0)
    observed, expected = float((design.y == 0).sum()), float(p.sum())
    z = (observed - expected) / float(np.sqrt((p * (1 - p)).sum()) + 1e-12)
    verdict = f"{number(observed)} zeros, {number(round(expected))} expected by the {fit.family}"
    return ("zeros", z, None, verdict), z


def _counts(Z: Floats, design: Design) -> Choice:
    if not (design.y > 0).any():
        raise DataError("all counts are zero")
    fit = fit_family("poisson", Z, design)
    mean = fit.mean(Z, design.exposure)
    found = dispersion(design.y, mean)
    rows = [_told(found)]
    _, zeros = _zeros(fit, design, mean)
    if found[2] < _LEVEL:
        fit = _better("negative binomial", fit, Z, design, rows, by=-np.inf)
    told, left = _zeros(fit, design, fit.mean(Z, design.exposure))
    rows.append(told)
    if zeros > _MANY:
        fit = _better("zero-inflated poisson", fit, Z, design, rows)
    if left > _MANY and found[2] < _LEVEL:
        fit = _better("zero-inflated negative binomial", fit, Z, design, rows)
    return Choice(fit, pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def _better(
    name: str, fit: Fit, Z: Floats, design: Design, rows: list[Row], by: float = _CLEARLY
) -> Fit:
    """Return the named fit if its BIC is lower by more than so much, and note the comparison."""
    try:
        other = fit_family(name, Z, design)
    except DataError as error:
        rows.append((f"BIC gained by the {name}", float("nan"), None, f"{error}"))
        return fit
    gain = fit.bic_of(len(design.y)) - other.bic_of(len(design.y))
    better = gain > by
    verdict = f"the {name} is taken" if better else f"not clearly better; the {fit.family} is kept"
    rows.append((f"BIC gained by the {name}", gain, None, verdict))
    return other if better else fit
