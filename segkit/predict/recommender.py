"""Recommender: how customers buy products again, and which products go together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted
from segkit.errors import (
    DataError,
    ModelError,
    require_columns,
)
from segkit.frames import is_returned, takes_frames
from segkit.ids import require_unique
from segkit.predict.buy_again import describe_products, fit_again, recent_shares
from segkit.predict.histories import EPOCH, check_as_of
from segkit.predict.ranking import (
    Codes,
    Floats,
    RecommendSettings,
    bought_matrix,
    fit_weights,
)
from segkit.result import Result
from segkit.writing import write_whole

LEAST_CUSTOMERS = 20  # below them, what goes with what is a matter of single customers
KIND, FORMAT = "recommender", 1


@dataclass(frozen=True, slots=True, eq=False)
class Recommender(Result):
    """Model of products: how often they are bought again, which go together, what sells now.

    It holds no customer. `recommend_products` applies it to purchase histories.

    Attributes
    ----------
    products : polars.DataFrame
        One row per product: product_id, customers (who bought it), recent_customers (within the
        recent days), repeat_share (of its customers, bought it on a second day; shrunk to the
        average of all), interval_days (usual, between purchases of one customer; median shrunk to
        that of all; null where nobody bought anything twice), days_since_sold.
    popularity : polars.DataFrame
        segment ("all" for all customers), product_id, customers (recent ones).
    weights : ndarray of float32
        EASE: products x products, from the product bought to the one scored. Neighbours: products
        x neighbours, of the product scored.
    neighbours : ndarray of int32
        Rows of the nearest products, of the shape of ``weights``; without rows for EASE.
    again : dict of str to float
        Weights of 'buy again', per feature (`segkit.predict.buy_again`), with "intercept" where
        they were learned.
    settings : RecommendSettings
    as_of : date
        Last day of the observation, inclusive.
    customers : int
        Customers whose purchases were used.
    notes : tuple of str
        Caveats.
    """

    products: pl.DataFrame
    popularity: pl.DataFrame
    weights: Floats
    neighbours: Codes
    again: dict[str, float]
    settings: RecommendSettings
    as_of: date
    customers: int
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        m = self.products.height
        expected = self.neighbours.shape if self.neighbours.size else (m, m)
        if self.weights.shape != expected or len(self.weights) != m:
            raise ModelError(
                f"a recommender of {counted(m, 'product')} cannot have weights of "
                f"{self.weights.shape} and neighbours of {self.neighbours.shape}"
            )
        if not np.isfinite(self.weights).all():
            raise ModelError("the weights of a recommender must be finite numbers")
        if len(self.neighbours) and not 0 <= self.neighbours.min() <= self.neighbours.max() < m:
            raise ModelError("neighbours of a recommender must be rows of its products")

    @property
    def method(self) -> str:
        """The method in words."""
        return "item neighbours" if len(self.neighbours) else "EASE"

    @property
    def text(self) -> str:
        """State what the recommender rests on."""
        again = self.products.select(pl.col("interval_days").median().round()).item()
        usual = "" if again is None else f"; the usual interval is {counted(again, 'day')}"
        sentence = (
            f"Recommendations rest on {counted(self.customers, 'customer')} and "
            f"{counted(self.products.height, 'product')} up to {self.as_of.isoformat()} "
            f"({self.method}){usual}."
        )
        return " ".join([sentence, *self.notes])

    def save(self, path: Path | str) -> Path:
        """Write the model as one NumPy archive (.npz), without pickle, and return the path.

        JSON, as other models are kept in, would be ten times as large: EASE has a weight for each
        pair of products.
        """
        meta = {
            "segkit_model": KIND,
            "format": FORMAT,
            "again": self.again,
            "settings": asdict(self.settings),
            "as_of": self.as_of.isoformat(),
            "customers": self.customers,
            "notes": list(self.notes),
        }
        buffer = BytesIO()
        np.savez(
            buffer,
            meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
            products=_to_bytes(self.products),
            popularity=_to_bytes(self.popularity),
            weights=self.weights,
            neighbours=self.neighbours,
        )
        return write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelError
            If the file is absent or holds no recommender of this format.
        """
        source = Path(path)
        if not source.is_file():
            raise ModelError(f"there is no recommender at {source}")
        try:
            with source.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                meta = _read_meta(stored["meta"], source)
                return cls(
                    pl.read_parquet(BytesIO(stored["products"].tobytes())),
                    pl.read_parquet(BytesIO(stored["popularity"].tobytes())),
                    stored["weights"].astype(np.float32),
                    stored["neighbours"].astype(np.int32),
                    {str(name): float(weight) for name, weight in meta["again"].items()},
                    RecommendSettings(**meta["settings"]),
                    date.fromisoformat(meta["as_of"]),
                    int(meta["customers"]),
                    tuple(meta["notes"]),
                )
        except ModelError:
            raise
        except Exception as error:  # NumPy, zip, Parquet and JSON each raise their own
            raise ModelError(f"{source.name} is not a recommender: {error!r}") from error


def _read_meta(data: npt.NDArray[np.uint8], source: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads(data.tobytes())
    if meta["segkit_model"] != KIND or meta["format"] != FORMAT:
        raise ModelError(
            f"{source.name} is a {meta['segkit_model']} of format {meta['format']}; expected a "
            f"{KIND} of format {FORMAT}"
        )
    return meta


def _to_bytes(frame: pl.DataFrame) -> npt.NDArray[np.uint8]:
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return np.frombuffer(buffer.getvalue(), np.uint8)


@takes_frames
def fit_recommender(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    segments: pl.DataFrame | None = None,
    settings: RecommendSettings | None = None,
) -> Recommender:
    """Fit what customers buy again and which products go together.

    'Discover' scores a product by EASE (Steck 2019): a ridge regression of each product's buyers on
    those of all other products, in closed form; beyond 10,000 products by its nearest products
    (cosine of their buyers, shrunk). The score is multiplied by the product's share of recent
    buyers, so that products that sell now rank first. 'Buy again' scores a customer's own products
    by how often and how lately they were bought, their usual interval, and how many customers buy
    them again and now; the weights are learned on the last days of the history.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines of the contract: customer_id, product_id, order_day (days since 1970-01-01),
        and amount or is_return, which mark returns.
    as_of : date, optional
        Last day of the observation, inclusive; by default the last day in the data.
    segments : polars or pandas frame, optional
        customer_id and segment, for what is popular within a segment.
    settings : RecommendSettings, optional
        Such as those that `backtest_recommendations` chose.

    Returns
    -------
    Recommender

    Raises
    ------
    DataError
        With under 20 customers or under 2 products.

    Notes
    -----
    EASE needs 4 bytes for each pair of products and time that grows with their number cubed: about
    2 minutes of processor at 10,000. Harald Steck (2019), "Embarrassingly Shallow Autoencoders for
    Sparse Data", The Web Conference.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pairs = {"customer_id": rng.integers(0, 60, 900), "product_id": rng.integers(0, 12, 900)}
    >>> orders = pl.DataFrame({**pairs, "order_day": rng.integers(0, 200, 900)})
    >>> model = fit_recommender(orders)
    >>> model.customers, model.products.height, model.method
    (60, 12, 'EASE')
    """
    settings = settings or RecommendSettings()
    end = check_as_of(orders, as_of)
    days = purchase_days(orders, end)
    customers = days["customer_id"].n_unique()
    products = describe_products(days, (end - EPOCH).days, settings.recent_days)
    if customers < LEAST_CUSTOMERS or products.height < 2:
        raise DataError(
            f"recommendations need at least {LEAST_CUSTOMERS} customers and 2 products bought by "
            f"{end.isoformat()}; got {counted(customers, 'customer')} and "
            f"{counted(products.height, 'product')}"
        )
    _, matrix = bought_matrix(days.select("customer_id", "product_id").unique(), products)
    weights, neighbours = fit_weights(matrix, recent_shares(products), settings)
    again = fit_again(days, (end - EPOCH).days, settings.recent_days, settings.again_days)
    notes = []
    if products["interval_days"].null_count():
        notes.append("Nobody bought a product twice: 'buy again' lists what was bought once.")
    return Recommender(
        products,
        _popularity(days, (end - EPOCH).days, settings.recent_days, segments),
        weights,
        neighbours,
        again,
        settings,
        end,
        customers,
        tuple(notes),
    )


def purchase_days(orders: pl.DataFrame | pl.LazyFrame, end: date) -> pl.DataFrame:
    """Return on which days each customer bought each product: customer_id, product_id, order_day.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If no purchase of a known customer and product is left.
    """
    lines = _lines(orders, end).filter(~pl.col("returned"))
    days = lines.select("customer_id", "product_id", "order_day").unique().collect()
    if days.is_empty():
        raise DataError(
            f"orders hold no purchase of a known customer and product by {end.isoformat()}"
        )
    return days


def returned_pairs(orders: pl.DataFrame | pl.LazyFrame, end: date) -> pl.DataFrame:
    """Return what each customer gave back: customer_id, product_id."""
    lines = _lines(orders, end).filter("returned")
    return lines.select("customer_id", "product_id").unique().collect()


def _lines(orders: pl.DataFrame | pl.LazyFrame, end: date) -> pl.LazyFrame:
    lazy = orders.lazy()
    names = lazy.collect_schema().names()
    require_columns(names, ["customer_id", "product_id", "order_day"], "orders")
    return (
        lazy.select(
            "customer_id",
            "product_id",
            pl.col("order_day").cast(pl.Int32),
            returned=is_returned(names),
        )
        .drop_nulls()
        .filter(pl.col("order_day") <= (end - EPOCH).days)
    )


def _popularity(
    days: pl.DataFrame, end: int, recent_days: int, segments: pl.DataFrame | None
) -> pl.DataFrame:
    """Count the recent customers of each product, in each segment and in all."""
    recent = days.filter(pl.col("order_day") > end - recent_days)
    pairs = recent.select("customer_id", "product_id").unique()
    parts = [pairs.with_columns(segment=pl.lit("all"))]
    if segments is not None:
        require_columns(segments.columns, ["customer_id", "segment"], "segments")
        require_unique(segments, "segments")
        member = segments.select("customer_id", pl.col("segment").cast(pl.String)).drop_nulls()
        parts.append(pairs.join(member, on="customer_id"))
    return (
        pl.concat(parts, how="diagonal")
        .group_by("segment", "product_id")
        .agg(customers=pl.len().cast(pl.Int64))
        .sort("segment", "customers", "product_id", descending=[False, True, False])
    )


def without_new_products(days: pl.DataFrame, products: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """Drop purchases of products that a model does not know, and say how many there were."""
    unknown = days.join(products, on="product_id", how="anti")
    if unknown.is_empty():
        return days, ""
    ids = unknown["product_id"].unique().sort()
    note = (
        f"{counted(len(ids), 'product')} bought, such as {ids[0]}, came after the model or are "
        f"unknown to it ({counted(unknown.height, 'purchase')} left out)."
    )
    if unknown.height == days.height:
        raise DataError("none of the products bought is known to the model")
    return days.join(products, on="product_id", how="semi"), note
