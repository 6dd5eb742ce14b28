"""Models of repeat buying: who is still active, and how many orders will follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import (
    DataError,
    ModelError,
    ParameterError,
    require_choice,
    require_columns,
    require_range,
)
from segkit.frames import takes_frames
from segkit.predict.futures import FAMILIES, Family
from segkit.predict.histories import HISTORY, check_history
from segkit.predict.likelihood import Array, Histories, Parameters, maximise
from segkit.result import StoredModel, read_fields

PurchaseModelName = Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"]
FEWEST_CUSTOMERS, FEWEST_REPEATERS = 100, 20
CHUNK = 20_000  # customers looked at together, so that memory does not grow with their number
PILOT = 10_000  # distinct histories on which a start is looked for
BLOCK = 16_384  # distinct histories whose derivatives are held at once


@dataclass(frozen=True, slots=True, eq=False)
class PurchaseModel(StoredModel):
    """A fitted model of repeat buying.

    Attributes
    ----------
    model : str
        "bg_nbd", "mbg_nbd", "pareto_nbd" or "bg_bb".
    parameters : dict of str to float
        The model's four parameters; alpha (and beta of the Pareto/NBD) in the unit of the times
        given, days as `count_purchases` counts them.
    effects : dict of str to dict of str to float
        Effect of each covariate on "purchase" (logarithm of the purchase rate per unit) and on
        "dropout" (logarithm of both parameters of dropping out, Fader and Hardie 2007).
    covariance : ndarray
        Of the logarithms of the parameters, then of the effects on purchase and on dropout.
    log_likelihood : float
        At the maximum.
    customers, repeaters : int
        Customers fitted, and those of them with a repeat purchase.
    gradient : float
        Largest absolute component of the gradient at the solution, per customer.
    converged : bool
        False where the data do not determine all parameters; the text says so.
    """

    KIND: ClassVar[str] = "purchases"

    model: str
    parameters: dict[str, float]
    effects: dict[str, dict[str, float]]
    covariance: Array
    log_likelihood: float
    customers: int
    repeaters: int
    gradient: float
    converged: bool

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Self:
        names = FAMILIES[data["model"]].parameters
        parameters = {name: float(data["parameters"][name]) for name in names}
        effects = {
            part: {name: float(value) for name, value in data["effects"][part].items()}
            for part in ("purchase", "dropout")
        }
        size = len(names) + sum(len(one) for one in effects.values())
        covariance = np.asarray(data["covariance"], dtype=float)
        if covariance.shape != (size, size) or min(parameters.values()) <= 0:
            raise ModelError(
                f"the stored {data['model']} holds parameters that do not fit together"
            )
        ready = {"parameters": parameters, "effects": effects, "covariance": covariance}
        return read_fields(cls, data, {}, **ready)

    @property
    def point(self) -> Array:
        """Logarithms of the parameters, then the effects on purchase and on dropout."""
        effects = [*self.effects["purchase"].values(), *self.effects["dropout"].values()]
        return np.array([*np.log(list(self.parameters.values())), *effects])

    def to_frame(self) -> pl.DataFrame:
        """Return one row per parameter and effect: estimate and standard error of its logarithm."""
        names = [
            *self.parameters,
            *(f"{part}: {name}" for part, own in self.effects.items() for name in own),
        ]
        values = [*self.parameters.values(), *self.point[4:]]
        return pl.DataFrame(
            {
                "parameter": names,
                "estimate": values,
                "standard_error": np.sqrt(np.diag(self.covariance)),
                "on_log_scale": [True] * 4 + [False] * (len(names) - 4),
            }
        )

    @property
    def text(self) -> str:
        """State what was fitted, and whether the data determine it."""
        sentence = (
            f"{FAMILIES[self.model].title} fitted to {counted(self.customers, 'customer')}, "
            f"{number(self.repeaters)} of them with a repeat purchase."
        )
        if self.converged:
            return sentence
        return (
            f"{sentence} The data do not determine all its parameters: at least one runs to a "
            "limit. Forecasts of the near future may stand, statements on who is still active do "
            "not."
        )

    @takes_frames
    def predict(self, history: pl.DataFrame, horizon: float) -> pl.DataFrame:
        """Compute the probability of being active and the expected orders of each customer.

        Parameters
        ----------
        history : polars.DataFrame
            As `count_purchases` gives it, with the model's covariates.
        horizon : float
            Length of the future looked at, in the unit of the times (days; occasions for BG/BB).

        Returns
        -------
        polars.DataFrame
            customer_id (where given), p_alive (the customer has not become inactive), p_order (at
            least one order within the horizon), expected_orders (within the horizon).
        """
        require_range("(0, inf)", horizon=horizon)
        alive, parameters, histories = self._find_alive(*self._read_history(history), self.point)
        family = FAMILIES[self.model]
        computed = {
            "p_alive": alive,
            "p_order": alive * family.any_order(parameters, histories, horizon),
            "expected_orders": alive * family.expected(parameters, histories, horizon),
        }
        given = [history["customer_id"]] if "customer_id" in history.columns else []
        return pl.DataFrame([*given, *(pl.Series(*item) for item in computed.items())])

    @takes_frames
    def predict_order(self, history: pl.DataFrame, horizons: Sequence[float] | Array) -> Array:
        """Compute the probability of at least one order within each of several horizons.

        Parameters
        ----------
        history, horizons
            As in `predict`.

        Returns
        -------
        ndarray of shape (len(horizons), n)
        """
        alive, parameters, histories = self._find_alive(*self._read_history(history), self.point)
        any_order = FAMILIES[self.model].any_order
        return np.stack([alive * any_order(parameters, histories, horizon) for horizon in horizons])

    @takes_frames
    def predict_times(
        self, history: pl.DataFrame, horizons: Array, shares: Sequence[float]
    ) -> tuple[Array, list[Array]]:
        """Compute when the next order comes, given that it comes within the horizon.

        Parameters
        ----------
        history
            As in `predict`.
        horizons : ndarray
            The horizon's equal parts, in the unit of the times.
        shares : sequence of float
            Quantiles of the time of the order.

        Returns
        -------
        ndarray of shape (n,)
            Probability of an order within the whole horizon.
        list of ndarray of shape (n,)
            For each quantile the time, as a share of the horizon.
        """
        parts = []
        for start in range(0, history.height, CHUNK):
            chances = self.predict_order(history[start : start + CHUNK], horizons)
            parts.append([chances[-1], *(_find_times(chances, share) for share in shares)])
        whole, *times = (np.concatenate(one) for one in zip(*parts, strict=True))
        return whole, times

    def draw_points(self, draws: int, rng: np.random.Generator) -> Array:
        """Draw parameters from the distribution of their estimate: (draws, p) points."""
        return rng.multivariate_normal(self.point, self.covariance, size=draws, method="eigh")

    @takes_frames
    def prepare_simulation(
        self, history: pl.DataFrame, horizon: float
    ) -> Callable[[np.random.Generator, Array], Array]:
        """Return a function that draws each customer's orders, for many draws of one history."""
        read = self._read_history(history)

        def draw(rng: np.random.Generator, point: Array) -> Array:
            alive, parameters, histories = self._find_alive(*read, point)
            active = rng.random(len(alive)) < alive
            return np.where(
                active, FAMILIES[self.model].draw(parameters, histories, horizon, rng), 0.0
            )

        return draw

    def _read_history(self, history: pl.DataFrame) -> tuple[Histories, tuple[Array, Array]]:
        """Return the histories row by row, and the covariates of purchase and of dropping out."""
        histories = _rows(check_history(history))
        purchase, dropout = (list(self.effects[part]) for part in ("purchase", "dropout"))
        return histories, (_design(history, purchase), _design(history, dropout))

    def _find_alive(
        self, histories: Histories, design: tuple[Array, Array], point: Array
    ) -> tuple[Array, Parameters, Histories]:
        """Return each customer's chance to be active, the parameters and the histories."""
        parameters = _parameters(point, *design)
        alive = FAMILIES[self.model].likelihood(parameters, histories, False).active
        return alive, parameters, histories


def _find_times(chances: Array, share: float) -> Array:
    """Return when the probability of an order is a share of that at the end of equal parts."""
    whole = np.concatenate([np.zeros((1, chances.shape[1])), chances])
    target = share * whole[-1]
    place = np.maximum((whole < target).sum(axis=0), 1)
    at = np.arange(whole.shape[1])
    before, after = whole[place - 1, at], whole[place, at]
    part = (target - before) / np.maximum(after - before, 1e-300)
    return np.asarray((place - 1 + part) / len(chances))


def _rows(history: pl.DataFrame, customers: pl.Series | None = None) -> Histories:
    x, last, age = (history[name].cast(pl.Float64).to_numpy() for name in HISTORY[1:])
    counts = np.ones(history.height) if customers is None else customers.cast(pl.Float64).to_numpy()
    return Histories(x, last, age, counts)


def _count_equal(history: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the distinct histories in order, and how many customers have each.

    Whole numbers are packed into one, which is sorted several times faster than rows are grouped.
    """
    columns = history.select(keys)
    whole = [one for one in columns if one.dtype.is_integer() and one.min() >= 0]  # type: ignore[operator]
    ranges = [int(one.max()) + 1 for one in whole]  # type: ignore[arg-type]
    if len(ranges) < len(keys) or np.prod(ranges, dtype=float) >= 2**62:
        return columns.group_by(keys).len("customers").sort(keys)
    packed = np.zeros(history.height, dtype=np.int64)
    for name, size in zip(keys, ranges, strict=True):
        packed *= size
        packed += columns[name].cast(pl.Int64).to_numpy()
    packed.sort()
    first = np.flatnonzero(np.diff(packed, prepend=-1))
    distinct, unpacked = packed[first], {}
    for name, size in zip(reversed(keys), reversed(ranges), strict=True):
        distinct, unpacked[name] = np.divmod(distinct, size)
    counts = np.diff(first, append=len(packed))
    return pl.DataFrame({**{name: unpacked[name] for name in keys}, "customers": counts})


def _design(history: pl.DataFrame, names: Sequence[str]) -> Array:
    """Return the covariates as columns, without a missing value."""
    require_columns(history.columns, names, "the purchase history")
    design = history.select(pl.col(name).cast(pl.Float64) for name in names).to_numpy()
    if not np.isfinite(design).all():
        lacking = [name for name in names if not np.isfinite(history[name].cast(pl.Float64)).all()]
        raise DataError(f"covariates must be finite numbers; not so in {', '.join(lacking)}")
    return design.reshape(history.height, len(names))


def _parameters(point: Array, purchase: Array, dropout: Array) -> Parameters:
    """Return the four parameters, one value each or one per customer.

    A covariate z multiplies the purchase rate by exp(effect z), that is alpha by exp(-effect z),
    and both parameters of dropping out by exp(effect z).
    """
    logs = [np.array([value]) for value in point[:4]]
    split = 4 + purchase.shape[1]
    if purchase.shape[1]:
        logs[1] = logs[1] - purchase @ point[4:split]
    if dropout.shape[1]:
        shift = dropout @ point[split:]
        logs[2], logs[3] = logs[2] + shift, logs[3] + shift
    return tuple(np.exp(value) for value in logs)


@takes_frames
def fit_purchases(
    history: pl.DataFrame,
    *,
    model: PurchaseModelName = "bg_nbd",
    purchase_covariates: Sequence[str] = (),
    dropout_covariates: Sequence[str] = (),
) -> PurchaseModel:
    """Fit a model of repeat buying by maximum likelihood.

    Customers with the same history are counted, not repeated; gradient and Hessian are exact, so
    that Newton's method ends in a few steps at any unit of time.

    Parameters
    ----------
    history : polars or pandas frame
        repeat_purchases, last_purchase_day, age_days, as `count_purchases` gives them (in any unit
        of time). For ``"bg_bb"``, in purchase occasions: number with a purchase, last one with a
        purchase, number observed.
    model : str
        "bg_nbd" (Fader, Hardie and Lee 2005: may become inactive after each repeat purchase),
        "mbg_nbd" (Batislam, Denizel and Filiztekin 2007: after the first too), "pareto_nbd"
        (Schmittlein, Morrison and Colombo 1987: at any moment), "bg_bb" (Fader, Hardie and Shang
        2010: occasions at which one buys or not).
    purchase_covariates, dropout_covariates : sequence of str
        Columns of ``history`` that change the purchase rate, and dropping out; BG/NBD and MBG/NBD
        only (Fader and Hardie 2007).

    Returns
    -------
    PurchaseModel

    Raises
    ------
    DataError
        Below 100 customers or 20 repeat buyers: no forecast can rest on fewer.
    ParameterError
        If counts and times are impossible, or the model is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> age = rng.integers(100, 400, 500)
    >>> x = rng.poisson(rng.gamma(1.0, 1 / 90, 500) * age)
    >>> last = np.where(x > 0, (age * x / (x + 1)).round(), 0)
    >>> history = pl.DataFrame(
    ...     {"repeat_purchases": x, "last_purchase_day": last, "age_days": age}
    ... )
    >>> fitted = fit_purchases(history)
    >>> print(fitted.text.split(".")[0])
    BG/NBD fitted to 500 customers, 367 of them with a repeat purchase
    """
    require_choice("model", model, get_args(PurchaseModelName))
    covariates = [*purchase_covariates, *dropout_covariates]
    if covariates and model not in ("bg_nbd", "mbg_nbd"):
        raise ParameterError(f"covariates are for bg_nbd and mbg_nbd, not for {model}")
    family = FAMILIES[model]
    check_history(history)
    repeaters = int((history["repeat_purchases"] > 0).sum())
    _check_size(history.height, repeaters)
    grouped = _count_equal(history, [*HISTORY[1:], *dict.fromkeys(covariates)])
    histories = _rows(grouped, grouped["customers"])
    customers = histories.customers
    scale = float(histories.age @ customers / history.height) if family.timed else 1.0
    if scale <= 0:
        raise DataError("all customers bought for the first time on the last day: nothing to learn")
    scaled = Histories(histories.x, histories.last / scale, histories.age / scale, customers)
    purchase, dropout = _design(grouped, purchase_covariates), _design(grouped, dropout_covariates)

    evaluate = partial(_evaluate, family, scaled, purchase, dropout)
    rest = np.zeros(len(covariates))
    starts = [np.concatenate([np.log(start), rest]) for start in family.starts]
    if (every := len(customers) // PILOT) > 1:
        some = customers[: len(customers) // every * every : every]
        pilot = maximise(lambda point: evaluate(point, every), starts, some.sum())
        starts = [pilot.point, *starts] if pilot.converged else starts
    end = maximise(evaluate, starts, history.height)
    point = end.point.copy()
    point[list(family.timed)] += np.log(scale)
    split = 4 + len(purchase_covariates)
    return PurchaseModel(
        model,
        dict(zip(family.parameters, np.exp(point[:4]).tolist(), strict=True)),
        {
            "purchase": dict(zip(purchase_covariates, point[4:split].tolist(), strict=True)),
            "dropout": dict(zip(dropout_covariates, point[split:].tolist(), strict=True)),
        },
        end.covariance,
        end.log_likelihood - float(histories.x @ customers) * float(np.log(scale)),
        history.height,
        repeaters,
        end.gradient,
        end.converged,
    )


def _evaluate(
    family: Family,
    histories: Histories,
    purchase: Array,
    dropout: Array,
    point: Array,
    every: int = 1,
) -> tuple[float, Array, Array]:
    """Return the log-likelihood at a point, its gradient and Hessian, from every nth history."""
    rows = len(histories.customers) // every
    size = len(point)
    value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
    for start in range(0, rows, BLOCK):  # memory does not grow with the number of customers
        part = slice(start * every, min(start + BLOCK, rows) * every, every)
        block = Histories(*(getattr(histories, name)[part] for name in Histories.__slots__))
        result = family.likelihood(_parameters(point, purchase[part], dropout[part]), block, True)
        value += float(result.value @ block.customers)
        if size == 4:  # no covariates
            gradient += result.gradient @ block.customers
            hessian += result.hessian @ block.customers
            continue
        design = _log_parameters_by_point(purchase[part], dropout[part])
        slope, curve = result.gradient * block.customers, result.hessian * block.customers
        gradient += np.einsum("jn,jnp->p", slope, design)
        hessian += np.einsum("jkn,jnp,knq->pq", curve, design, design, optimize=True)
    return value, gradient, hessian


def _check_size(customers: int, repeaters: int) -> None:
    if customers < FEWEST_CUSTOMERS or repeaters < FEWEST_REPEATERS:
        raise DataError(
            f"a model of repeat buying needs at least {FEWEST_CUSTOMERS} customers and "
            f"{FEWEST_REPEATERS} who bought again; there are {customers} and {repeaters}"
        )


def _log_parameters_by_point(purchase: Array, dropout: Array) -> Array:
    """Return the derivative of each customer's log-parameters by the point: (4, n, p)."""
    split = 4 + purchase.shape[1]
    design = np.zeros((4, len(purchase), split + dropout.shape[1]))
    for place in range(4):
        design[place, :, place] = 1.0
    design[1, :, 4:split] = -purchase
    design[2:, :, split:] = dropout
    return design
