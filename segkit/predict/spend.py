"""Model of spend per purchase: the gamma-gamma model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from scipy.special import gammaln, polygamma, psi

from segkit.display import counted, number
from segkit.errors import DataError, ModelError, require_columns
from segkit.frames import takes_frames
from segkit.predict.likelihood import Array, maximise
from segkit.predict.purchases import FEWEST_REPEATERS
from segkit.result import StoredModel, read_fields

NAMES = ("p", "q", "gamma")
CORRELATED = 0.2  # spend and number of purchases are taken to be unrelated up to here


@dataclass(frozen=True, slots=True, eq=False)
class SpendModel(StoredModel):
    """A fitted gamma-gamma model of spend per purchase.

    Attributes
    ----------
    parameters : dict of str to float
        p and q (shapes), gamma (in the unit of money).
    covariance : ndarray of shape (3, 3)
        Of the logarithms of the parameters.
    log_likelihood : float
    customers : int
        Repeat customers with positive mean spend, which were fitted.
    excluded : int
        Repeat customers without positive spend; they are predicted, not fitted.
    correlation : float
        Between the logarithms of spend and of the number of purchases; the model takes it to be 0.
    gradient : float
    converged : bool
    """

    KIND: ClassVar[str] = "spend"

    parameters: dict[str, float]
    covariance: Array
    log_likelihood: float
    customers: int
    excluded: int
    correlation: float
    gradient: float
    converged: bool

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        parameters = {name: float(data["parameters"][name]) for name in NAMES}
        covariance = np.asarray(data["covariance"], dtype=float)
        if covariance.shape != (3, 3) or min(parameters.values()) <= 0:
            raise ModelError("the stored spend model holds parameters that do not fit together")
        return read_fields(cls, data, {}, parameters=parameters, covariance=covariance)

    @property
    def point(self) -> Array:
        """Logarithms of the parameters."""
        return np.log(list(self.parameters.values()))

    def to_frame(self) -> pl.DataFrame:
        """Return one row per parameter: estimate and standard error of its logarithm."""
        return pl.DataFrame(
            {
                "parameter": list(NAMES),
                "estimate": list(self.parameters.values()),
                "standard_error": np.sqrt(np.diag(self.covariance)),
            }
        )

    @property
    def text(self) -> str:
        """State what was fitted, and whether its assumption holds."""
        sentence = f"Gamma-gamma model fitted to {counted(self.customers, 'repeat customer')}."
        if self.excluded:
            sentence += f" {number(self.excluded)} without positive spend were left out of the fit."
        if not self.converged:
            sentence += " The data do not determine all its parameters."
        if abs(self.correlation) > CORRELATED:
            direction = "more" if self.correlation > 0 else "less"
            sentence += (
                f" Customers who buy more often spend {direction} per purchase (correlation "
                f"{self.correlation:.2f}), which the model takes to be 0: values of frequent "
                "customers are pulled to the mean."
            )
        return sentence

    @takes_frames
    def predict(self, history: pl.DataFrame) -> Array:
        """Compute the expected spend per future purchase of each customer.

        Fader and Hardie (2013), equation 5: the customer's own mean, shrunk to that of all.

        Parameters
        ----------
        history : polars.DataFrame
            repeat_purchases and mean_spend, as `count_purchases` gives them.

        Returns
        -------
        ndarray of shape (n,)
            In the unit of money.
        """
        p, q, gamma = self.parameters.values()
        x, mean = repeat_spend(history)
        # Where q is 1 or less the mean of all customers does not exist; the mode stands in.
        return p * (gamma + x * mean) / np.maximum(p * x + q - 1, 1e-6)

    def draw_points(self, draws: int, rng: np.random.Generator) -> Array:
        """Draw parameters from the distribution of their estimate: (draws, 3) points."""
        return rng.multivariate_normal(self.point, self.covariance, size=draws, method="eigh")

    @takes_frames
    def prepare_simulation(
        self, history: pl.DataFrame
    ) -> Callable[[Array, np.random.Generator, Array], Array]:
        """Return a function that draws each customer's spend, for many draws of one history."""
        x, mean = repeat_spend(history)
        spent = x * mean

        def draw(orders: Array, rng: np.random.Generator, point: Array) -> Array:
            p, q, gamma = np.exp(point)
            some = np.flatnonzero(orders)
            rate = rng.gamma(q + p * x[some]) / (gamma + spent[some])
            values = np.zeros(len(orders))
            values[some] = rng.gamma(p * orders[some]) / rate
            return values

        return draw


def repeat_spend(history: pl.DataFrame) -> tuple[Array, Array]:
    """Return repeat purchases and mean spend as arrays; 0 where a customer has none."""
    require_columns(history.columns, ["repeat_purchases", "mean_spend"], "the purchase history")
    frame = history.select(
        pl.col("repeat_purchases").cast(pl.Float64),
        pl.col("mean_spend").cast(pl.Float64).fill_null(0.0).clip(lower_bound=0.0),
    )
    if not frame["mean_spend"].is_finite().all():
        raise DataError("mean_spend must be finite or missing")
    return frame["repeat_purchases"].to_numpy(), frame["mean_spend"].to_numpy()


@takes_frames
def fit_spend(history: pl.DataFrame) -> SpendModel:
    """Fit the gamma-gamma model of spend per purchase by maximum likelihood.

    Parameters
    ----------
    history : polars or pandas frame
        repeat_purchases and mean_spend (of the repeat purchases), as `count_purchases` gives them.

    Returns
    -------
    SpendModel

    Raises
    ------
    DataError
        With fewer than 20 repeat customers of positive spend.

    Notes
    -----
    Fader and Hardie (2013), "The gamma-gamma model of monetary value", equation 1a. The model takes
    spend per purchase to be unrelated to the number of purchases; the correlation is reported.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.integers(1, 10, 2_000)
    >>> mean = rng.gamma(6 * x) / (x * rng.gamma(4.0, 1 / 15, 2_000))
    >>> model = fit_spend(pl.DataFrame({"repeat_purchases": x, "mean_spend": mean}))
    >>> print(model.text)
    Gamma-gamma model fitted to 2,000 repeat customers.
    """
    x, mean = repeat_spend(history)
    repeats = x > 0
    usable = repeats & (mean > 0)
    if usable.sum() < FEWEST_REPEATERS:
        raise DataError(
            f"a model of spend needs at least {FEWEST_REPEATERS} repeat customers of positive "
            f"spend; there are {int(usable.sum())}"
        )
    excluded = int((repeats & ~usable).sum())
    x, mean = x[usable], mean[usable]
    scale = float(np.exp(np.log(mean).mean()))
    money = mean / scale

    def evaluate(point: Array) -> tuple[float, Array, Array]:
        return _log_likelihood(np.exp(point), x, money)

    end = maximise(evaluate, [np.log([2.0, 3.0, 3.0]), np.log([1.0, 8.0, 8.0])], len(x))
    point = end.point + np.array([0.0, 0.0, np.log(scale)])
    varied = np.ptp(np.log(mean)) > 0 and np.ptp(x) > 0
    correlation = float(np.corrcoef(np.log(x), np.log(mean))[0, 1]) if varied else 0.0
    return SpendModel(
        dict(zip(NAMES, np.exp(point).tolist(), strict=True)),
        end.covariance,
        end.log_likelihood - len(x) * float(np.log(scale)),
        len(x),
        excluded,
        correlation,
        end.gradient,
        end.converged,
    )


def _log_likelihood(parameters: Array, x: Array, mean: Array) -> tuple[float, Array, Array]:
    """Return the log-likelihood with its derivatives by the logarithms of p, q and gamma."""
    p, q, gamma = parameters
    total, shape = gamma + x * mean, p * x + q
    log_share = np.log(x * mean / total)
    value = (
        gammaln(shape) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) - q * np.log(total)
    ) + p * x * log_share
    trigamma = polygamma(1, shape)
    gradient = np.array(
        [
            (x * (psi(shape) - psi(p * x) + log_share)).sum(),
            (psi(shape) - psi(q) + np.log(gamma / total)).sum(),
            (q / gamma - shape / total).sum(),
        ]
    )
    hessian = np.empty((3, 3))
    hessian[0, 0] = (x**2 * (trigamma - polygamma(1, p * x))).sum()
    hessian[0, 1] = hessian[1, 0] = (x * trigamma).sum()
    hessian[0, 2] = hessian[2, 0] = -(x / total).sum()
    hessian[1, 1] = (trigamma - polygamma(1, q)).sum()
    hessian[1, 2] = hessian[2, 1] = (1 / gamma - 1 / total).sum()
    hessian[2, 2] = (-q / gamma**2 + shape / total**2).sum()
    slope = gradient * parameters
    curve = hessian * np.outer(parameters, parameters) + np.diag(slope)
    return float((value - np.log(mean)).sum()), slope, curve
