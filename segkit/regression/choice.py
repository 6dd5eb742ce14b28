"""Which distribution do the counts ask for? Dispersion and zeros, tested."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import number
from segkit.errors import DataError, ParameterError, unknown
from segkit.regression.checks import probability
from segkit.regression.columns import Design, Floats
from segkit.regression.families import COUNTS, FAMILIES, Fit, fit_family, zero_probability

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
    zeros where the fit leaves too few, the likelihood rises with a share of extra zeros, and the
    zero-inflated fit is clearly better (BIC).

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
    poisson = fit = fit_family("poisson", Z, design)
    mean = fit.mean(Z, design.exposure)
    found = dispersion(design.y, mean)
    rows = [_told(found)]
    _, zeros = _zeros(fit, design, mean)
    if found[2] < _LEVEL:
        fit = _better("negative binomial", fit, fit, Z, design, rows, by=-np.inf)
    plain = fit
    told, left = _zeros(plain, design, plain.mean(Z, design.exposure))
    rows.append(told)
    if zeros > _MANY:
        fit = _better("zero-inflated poisson", fit, poisson, Z, design, rows)
    if left > _MANY and found[2] < _LEVEL:
        fit = _better("zero-inflated negative binomial", fit, plain, Z, design, rows)
    return Choice(fit, pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def zeros_gradient(fit: Fit, design: Design, mean: Floats) -> float:
    """Return the slope of the log-likelihood in the share of extra zeros, at none.

    Where it is not positive, the best share of extra zeros near the fit is none: a zero-inflated
    regression then has the same likelihood with one parameter more (the score of van den Broek
    1995, Biometrics 51, 738).

    Examples
    --------
    >>> from segkit.regression.columns import make_design
    >>> rows = pl.DataFrame({"y": [0.0, 1, 1, 2, 2, 3], "x": [0.0, 1, 0, 1, 0, 1]})
    >>> design = make_design(rows, "y", ["x"])
    >>> Z = (design.X - 0.5) / 0.5
    >>> fit = fit_family("poisson", Z, design)
    >>> round(zeros_gradient(fit, design, fit.mean(Z, None)), 2)
    -3.28
    """
    none = design.y == 0
    with np.errstate(over="ignore", divide="ignore"):
        odds = 1 / zero_probability(mean[none], fit.extra.get("alpha", 0.0))
    return float(odds.sum()) - len(design.y)


def _better(
    name: str,
    best: Fit,
    start: Fit,
    Z: Floats,
    design: Design,
    rows: list[Row],
    by: float = _CLEARLY,
) -> Fit:
    """Return the named fit if its BIC is lower by more than so much, and note the comparison."""
    test, n = f"BIC gained by the {name}", len(design.y)
    if name.startswith("zero") and (
        zeros_gradient(start, design, start.mean(Z, design.exposure)) <= 0
    ):
        verdict = f"extra zeros do not raise the likelihood; the {best.family} is kept"
        rows.append((test, best.bic_of(n) - start.bic_of(n) - float(np.log(n)), None, verdict))
        return best
    try:
        other = fit_family(name, Z, design, start=start)
    except DataError as error:
        rows.append((test, float("nan"), None, f"{error}"))
        return best
    gain = best.bic_of(n) - other.bic_of(n)
    better = gain > by
    verdict = f"the {name} is taken" if better else f"not clearly better; the {best.family} is kept"
    rows.append((test, gain, None, verdict))
    return other if better else best
