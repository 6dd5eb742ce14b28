"""Scoring of a file: each customer's segment, value, churn and next purchase by saved models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, join_words, number, percent
from segkit.errors import DataError, ModelError, ParameterError, SourceError, require_columns
from segkit.frames import takes_frames
from segkit.intake import ProfileArchive
from segkit.intake.mapping import Mapping
from segkit.intake.spellings import SPELLINGS
from segkit.intake.store import MAPPING
from segkit.intake.versions import Recorded
from segkit.result import Result
from segkit.spreadsheets import restore
from segkit.writing import PARQUET, write_frame

if TYPE_CHECKING:
    from segkit.cluster.scorers import SegmentScorer
    from segkit.features import CustomerTable
    from segkit.intake import Intake
    from segkit.predict import PropensityModel, ValueModel

__all__ = ["Scored", "record_scores", "score_file", "write_assignments"]


@dataclass(frozen=True, slots=True, eq=False)
class Scored(Result):
    """Customers of a file with their segments.

    Attributes
    ----------
    assignments : polars.DataFrame
        What the model's ``score`` gives: customer_id, segment, segment_name, distance,
        second_segment, margin, unlike_any, what its method adds, and reason: why a customer has
        no segment, null for all others. With a model of value: p_alive, p_order, expected_orders,
        spend_per_order, expected_value, next_date (`segkit.predict.ValueModel.predict`); with one
        of churn: churn_probability. They are null for customers without a purchase.
    segments : polars.DataFrame
        One row per segment of the model: segment, segment_name, customers, customer_share (of the
        customers with a segment).
    about : str
        The model in words.
    made_from : str
        "a customer table", or the orders and the day up to which they were read.
    outlook : str
        What the models of value and churn expect, in words; empty without one.
    """

    assignments: pl.DataFrame
    segments: pl.DataFrame
    about: str
    made_from: str
    outlook: str = ""

    @property
    def text(self) -> str:
        """Customers by segment, and the share who are unlike any segment."""
        odd = float(self.assignments["unlike_any"].mean() or 0)  # type: ignore[arg-type]
        without = self.assignments.drop_nulls("reason")
        assigned = self.assignments.height - without.height
        text = (
            f"{counted(assigned, 'customer')} from {self.made_from} assigned: "
            f"{list_segments(self.segments)}. "
            f"{percent(odd)} are unlike any segment."
        )
        if without.height:
            text += (
                f" {counted(without.height, 'customer has', 'customers have')} no segment, such "
                f"as one whose {without['reason'][0]}."
            )
        if "unseen" in self.assignments.columns and self.assignments["unseen"].sum():
            new = int((self.assignments["unseen"] > 0).sum())
            text += f" {number(new)} have a category that was not there at the fit."
        return " ".join(filter(None, (text, self.outlook, self.about)))


def list_segments(segments: pl.DataFrame) -> str:
    """List each segment's customers with their share, and that of revenue where it is a column.

    Examples
    --------
    >>> size = {"segment": "S1", "segment_name": "Few", "customers": 2, "customer_share": 0.4}
    >>> list_segments(pl.DataFrame([size]))
    'S1 Few 2 (40.0%)'
    """
    return "; ".join(
        f"{row['segment']} {row['segment_name']} {number(row['customers'])} "
        f"({percent(row['customer_share'])}"
        + (f", {percent(row['revenue_share'])} of revenue)" if "revenue_share" in row else ")")
        for row in segments.iter_rows(named=True)
    )


def score_file(
    model: SegmentScorer | Path | str,
    data: Path | str,
    *,
    mapping: Any = None,
    as_of: date | None = None,
    value: ValueModel | Path | str | None = None,
    churn: PropensityModel | Path | str | None = None,
) -> Scored:
    """Assign the customers of a file to the segments of a saved model, and forecast them.

    A CSV or Parquet file with any of the model's columns is taken for a customer table. Anything
    else, or anything with a mapping, is taken for raw data: it goes through `segkit.clean_data`,
    and the features are built by the definitions that the model holds. A feature that would be
    defined otherwise is refused.

    Parameters
    ----------
    model : path or model
        JSON that a model's ``save`` wrote; or the folder of a run, whose models of segments, value
        and churn are taken.
    data : path
        A customer table, or raw orders (a file or a folder of tables).
    mapping : Mapping, path or None
        For raw data; see `segkit.clean_data`. Without one, customer ids are spelled as where the
        segments were made, or refused where the data would decide it.
    as_of : datetime.date, optional
        For raw data: the last day that is used; by default that of the last order.
    value, churn : path or model, optional
        Models of value (`segkit.predict.ValueModel`) and of churn (`segkit.predict.fit_churn`);
        they need raw orders.

    Returns
    -------
    Scored

    Raises
    ------
    SourceError
        If there is no such file.
    ColumnError, DataError
        If the table lacks a column, or holds values that cannot be scored.
    ModelError
        If the model cannot be read, or holds no definitions by which features could be built from
        raw data, or others.
    """
    from segkit.cluster.model import load_model
    from segkit.predict import PropensityModel, ValueModel

    given = isinstance(model, str | Path) and Path(model).is_dir()
    if given:
        run = Path(model)  # type: ignore[arg-type]
        model = find_model(run, "segment_model") or run
        value, churn = (
            value or find_model(run, "value_model"),
            churn or find_model(run, "churn_model"),
        )
    scorer = load_model(model) if isinstance(model, str | Path) else model
    path = Path(data)
    if not path.exists():
        raise SourceError(f"there is no file {path.name}")
    table = None if mapping is not None else _customer_table(path, scorer.columns)
    if table is not None:
        if not given and (value is not None or churn is not None):
            raise ParameterError(
                f"value and churn are forecast from raw orders; {path.name} is a customer table"
            )
        return _scored(scorer, table, "a customer table")
    built, taken = _built(model, scorer, path, mapping, as_of)
    made = f"raw orders up to {built.as_of.isoformat()}"
    scored = _scored(scorer, built.frame, made)
    own = ValueModel.load(value) if isinstance(value, str | Path) else value
    leaving = PropensityModel.load(churn) if isinstance(churn, str | Path) else churn
    return _forecast(scored, taken, built.as_of, own, leaving)


def _scored(scorer: SegmentScorer, table: pl.DataFrame, made_from: str) -> Scored:
    result = scorer.score(table)
    counts = dict(result["segment"].drop_nulls().value_counts().iter_rows())
    rows = [(one, name, counts.get(one, 0)) for one, name in scorer.names.items()]
    sizes = pl.DataFrame(rows, schema=["segment", "segment_name", "customers"], orient="row")
    share = pl.col("customers") / max(sum(counts.values()), 1)
    return Scored(result, sizes.with_columns(customer_share=share), scorer.text, made_from)


def _forecast(
    scored: Scored,
    taken: Intake,
    as_of: date,
    value: ValueModel | None,
    churn: PropensityModel | None,
) -> Scored:
    """Add what the models of value and churn expect of each customer, also in words."""
    frame = add_forecasts(
        scored.assignments,
        taken.tables["orders"],
        events=taken.events,
        customers=taken.customers,
        as_of=as_of,
        value=value,
        churn=churn,
    )
    words = []
    if value is not None:
        words.append(
            f"They are expected to bring {number(frame['expected_value'].sum())} in the "
            f"{counted(value.horizon_days, 'day')} after {as_of.isoformat()}."
        )
    if churn is not None:
        words.append(
            f"{percent(frame['churn_probability'].mean(), places=0)} are expected to have no order "  # type: ignore[arg-type]
            f"within {counted(churn.horizon_days, 'day')}."
        )
    return replace(scored, assignments=frame, outlook=" ".join(words))


@takes_frames
def add_forecasts(
    assignments: pl.DataFrame,
    orders: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    customers: pl.DataFrame | None = None,
    as_of: date,
    value: ValueModel | None = None,
    churn: PropensityModel | None = None,
) -> pl.DataFrame:
    """Add what models of value and churn expect of each customer.

    Parameters
    ----------
    assignments : polars.DataFrame
        ``customer_id`` and whatever else.
    orders, events, customers : polars.DataFrame
        Clean tables, as given to the models at the fit.
    as_of : datetime.date
        Last day that is used.
    value : ValueModel, optional
    churn : PropensityModel, optional

    Returns
    -------
    polars.DataFrame
        The assignments with the columns of ``value.predict`` and with churn_probability; null for
        customers without a purchase.
    """
    from segkit.predict import score_propensity

    frame = assignments
    if value is not None:
        ahead = value.predict(orders, as_of=as_of)
        frame = frame.join(ahead, on="customer_id", how="left", maintain_order="left")
    if churn is not None:
        scores = score_propensity(
            churn, orders, events=events, customers=customers, as_of=as_of
        ).customers.select("customer_id", "churn_probability")
        frame = frame.join(scores, on="customer_id", how="left", maintain_order="left")
    return frame


def find_model(folder: Path, name: str) -> Path | None:
    """Return a model's file in the folder of a run or of models; None if there is none.

    Parameters
    ----------
    folder : path
    name : str
        "segment_model", "value_model", "churn_model" or "offer_policy".
    """
    own = folder / f"{name}.json"
    return own if own.is_file() else next(iter(sorted(folder.glob(f"*/data/{name}.json"))), None)


def _customer_table(path: Path, features: Sequence[str]) -> pl.DataFrame | None:
    """Read the file if it holds any of the features; None if it is something else."""
    name = path.name.lower()
    if name.endswith(PARQUET):
        lazy = pl.scan_parquet(path)
    elif name.endswith((".csv", ".csv.gz")):
        lazy = pl.scan_csv(
            path, infer_schema_length=None, schema_overrides={"customer_id": pl.String}
        )
    else:
        return None
    try:
        columns = lazy.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{path.name} cannot be read: {error}") from error
    if not set(columns) & set(features):
        return None
    require_columns(columns, ["customer_id", *features], path.name)
    frame: pl.DataFrame = lazy.select("customer_id", *features).collect()
    return frame if name.endswith(PARQUET) else restore(frame)


def stored_definitions(scorer: Any) -> dict[str, str]:
    """Return how a model defines its features.

    Raises
    ------
    ModelError
        If it does not define them all.
    """
    words: dict[str, str] = dict(getattr(scorer, "definitions", {}) or {})
    missing = [name for name in scorer.features if name not in words]
    if missing:
        raise ModelError(
            f"the model does not define {', '.join(missing)}, so they cannot be built from raw "
            "data; give a customer table"
        )
    return {name: words[name] for name in scorer.features}


def fitted_spelling(model: Any) -> Mapping:
    """Return how customer ids were spelled where a saved model's segments were made.

    That is in the mapping beside the model, or of the run that it is of; nothing without one.
    """
    place = Path(model) if isinstance(model, str | Path) else Path()
    near = [place.with_name(MAPPING)] if place.is_file() else []
    if place.parent.name == "data":
        near += sorted(place.absolute().parents[2].glob(f"*/data/clean/{MAPPING}"))
    saved = next((Mapping.load(path) for path in near if path.is_file()), Mapping())
    decided = {name: saved.option("orders", name) for name in SPELLINGS}
    return Mapping(options={name: value for name, value in decided.items() if value is not None})


def check_spelling(fitted: Mapping, settled: Mapping, file: str) -> None:
    """Refuse data that decide themselves how ids are spelled, other than where segments were made.

    Raises
    ------
    DataError
        If so: the same customer would have another id.
    """
    own = {name: settled.option("orders", name) for name in SPELLINGS if name not in fitted.options}
    others = [f'{name} = "{value}"' for name, value in own.items() if value is not None]
    if others:
        raise DataError(
            f"the data of {file} would decide by {join_words(others)} how customer ids are "
            "spelled; for the segments that was not decided, as far as is known. Give the mapping "
            "of the segments' data, or one that decides it"
        )


def clean_as_fitted(model: Any, data: Path, mapping: Any) -> Intake:
    """Clean raw data; without a mapping, ids are spelled as where a model's segments were made."""
    from segkit.intake import clean_data

    if mapping is not None:
        return clean_data(data, mapping)
    fitted = fitted_spelling(model)
    taken = clean_data(data, fitted)
    check_spelling(fitted, taken.mapping, data.name)
    return taken


def _built(
    model: Any, scorer: Any, path: Path, mapping: Any, as_of: date | None
) -> tuple[CustomerTable, Intake]:
    """Build the model's features from raw data, as the model defines them; return both."""
    from segkit.features import rebuild_features

    wanted = stored_definitions(scorer)
    taken = clean_as_fitted(model, path, mapping)
    if taken.orders is None:
        raise SourceError(f"features need orders; {path.name} has {', '.join(taken.tables)}")
    table = rebuild_features(
        taken.orders, taken.events, definitions=wanted, columns=scorer.columns, as_of=as_of
    )
    return table, taken


def write_assignments(scored: Scored, out: Path | str) -> Path:
    """Write the assignments as CSV or Parquet, by the ending; refuse an existing file.

    The file is readable by its owner alone; a CSV has its formulas defused
    (`segkit.spreadsheets`).

    Raises
    ------
    ParameterError
        If the file exists, or its ending is neither.
    """
    path = check_out(out)
    return write_frame(scored.assignments, path, overwrite=False, private=True)


def record_scores(
    scored: Scored, store: Path | str, *, as_of: date | None = None
) -> dict[str, Recorded]:
    """Record segments and scores in an archive of versions, as of the end of a day.

    Parameters
    ----------
    scored : Scored
    store : path
        Folder of a `segkit.intake.ProfileArchive`; made if it is not there.
    as_of : datetime.date, optional
        Last day of the data; today by default, when the scores were made.
    """
    now = datetime.now(UTC)
    after = now if as_of is None else datetime.combine(as_of, time(), UTC) + timedelta(days=1)
    names = ["segment", "segment_name"]
    return ProfileArchive(Path(store)).record(
        min(after, now),
        segments=scored.assignments.select("customer_id", *names),
        scores=scored.assignments.drop(names, "reason", strict=False),
    )


def check_out(out: Path | str) -> Path:
    """Check the path of a file to write before the work begins, and return it.

    Raises
    ------
    ParameterError
        If the file exists, its folder does not, or its ending is neither .csv nor .parquet.
    """
    path = Path(out)
    if path.exists():
        raise ParameterError(f"{path} exists; it is not overwritten")
    if not path.name.lower().endswith((".csv", *PARQUET)):
        raise ParameterError(f"expected a file that ends in .csv or .parquet, got {path.name}")
    if not path.parent.is_dir():
        raise ParameterError(f"there is no folder {path.parent} to write {path.name} in")
    return path
