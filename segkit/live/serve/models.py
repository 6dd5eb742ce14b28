"""Models that the scoring service holds: read from their files, and applied to customers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from segkit.campaign import OfferRules
from segkit.campaign.assignment import NO_OFFER
from segkit.cluster import SegmentModel
from segkit.cluster.model import RowScorer, read_model
from segkit.cluster.scorers import SegmentScorer
from segkit.errors import ModelError, ParameterError, SegkitError, SourceError
from segkit.live.serve.bodies import CustomerData, FieldError, read_numbers, read_values
from segkit.live.serve.histories import Histories
from segkit.predict import PropensityModel, ValueModel
from segkit.result import parse_json
from segkit.rules.conditions import columns as columns_of
from segkit.scoring import find_model

PARTS = ("segment_model", "value_model", "churn_model", "offer_policy")
# Why a customer has no offer, though the rules may have one.
NO_CONSENT, NOT_RECORDED = "no_consent", "consent_not_recorded"
ASSIGNED = ("segment", "segment_name", "distance", "second_segment", "margin", "unlike_any",
            "reason", "probability", "unseen")  # fmt: skip
VALUED = ("p_alive", "p_order", "expected_orders", "spend_per_order", "expected_value", "next_date")


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A segmentation in service, with the models of value and churn and the offers beside it.

    Attributes
    ----------
    name : str
    place : Path
        The file or folder it was read from, and is read from again.
    scorer : SegmentScorer
    version : dict
        What every answer holds: model, model_version (of the files' bytes, 16 digits of their
        SHA-256), segkit_version and data_hash (of the fit, where the model has one).
    row : RowScorer or None
        Fast path of models with centres.
    histories : Histories or None
        None where raw rows are not taken; ``no_histories`` says why.
    no_histories : str
    offers : OfferRules or None
    offer_of : dict of str to str, or None
        Offer by segment, where the rules read nothing else.
    """

    name: str
    place: Path
    scorer: SegmentScorer
    version: dict[str, Any]
    row: RowScorer | None
    histories: Histories | None
    no_histories: str
    value: ValueModel | None
    churn: PropensityModel | None
    offers: OfferRules | None
    offer_of: dict[str, str] | None

    @classmethod
    def load(cls, name: str, place: Path) -> ServedModel:
        """Read a model's file, or the models in the folder of a run.

        Raises
        ------
        SegkitError
            If there is no model, or one cannot be read or served.
        """
        paths = _find_parts(place)
        # Read once: the version is that of the very bytes that are served, whoever writes meanwhile
        contents = {part: path.read_bytes() for part, path in paths.items()}
        digest = hashlib.sha256(b"".join(contents.values()))
        data = {part: parse_json(text, paths[part].name) for part, text in contents.items()}
        scorer = read_model(data["segment_model"], paths["segment_model"].name)
        value = ValueModel.from_data(data["value_model"]) if "value_model" in data else None
        churn = PropensityModel.from_data(data["churn_model"]) if "churn_model" in data else None
        if churn is not None and churn.outcome != "churn":
            raise ModelError(f"churn_model.json of {name} is a model of {churn.outcome}")
        offers = _read_offers(data["offer_policy"]) if "offer_policy" in data else None
        centres = scorer if isinstance(scorer, SegmentModel) else None
        histories, why = None, "only models with centres define their features"
        if centres is not None:
            try:
                histories, why = Histories.of(centres, value, churn), ""
            except ModelError as error:
                why = str(error)
        if offers is not None:
            _check_offers(offers, scorer)
        version = {
            "model": name,
            "model_version": digest.hexdigest()[:16],
            "segkit_version": getattr(scorer, "version", None),
            "data_hash": getattr(scorer, "data_hash", None),
        }
        return cls(
            name,
            place,
            scorer,
            version,
            None if centres is None else RowScorer(centres),
            histories,
            why,
            value,
            churn,
            offers,
            None if offers is None else _by_segment(offers, scorer),
        )

    def assign(self, customer: CustomerData) -> dict[str, Any]:
        """Assign one customer; the answer as JSON data.

        Raises
        ------
        FieldError
            If a field is missing, unknown or holds what it cannot.
        """
        if customer.features is None or self.row is None or self._offer_needs_row:
            return self.assign_all([customer])[0]
        loc = (*customer.loc, "features")
        scores = self.row.score(read_numbers(customer.features, self.row.needed, loc))
        answer = self.version | {"customer_id": customer.customer_id} | scores
        if self.offer_of is not None:
            answer |= self._offer(customer, self.offer_of.get(scores["segment"]))
        return answer

    @property
    def _offer_needs_row(self) -> bool:
        return self.offers is not None and self.offer_of is None

    def assign_all(self, customers: Sequence[CustomerData]) -> list[dict[str, Any]]:
        """Assign customers by features or raw rows; the answers in their order.

        Raises
        ------
        FieldError
            If a field is missing, unknown or holds what it cannot.
        """
        answers: dict[int, dict[str, Any]] = {}
        for ways, score in (
            ([k for k, one in enumerate(customers) if one.features is not None], self._by_features),
            ([k for k, one in enumerate(customers) if one.features is None], self._by_rows),
        ):
            if not ways:
                continue
            frame = score([customers[k] for k in ways])
            offers = self._find_offers(frame)
            keep = [name for name in (*ASSIGNED, *VALUED) if name in frame.columns]
            if "churn_probability" in frame.columns:
                keep.append("churn_probability")
            for k, row, offer in zip(
                ways, frame.select(keep).rows(named=True), offers, strict=True
            ):
                own = {name: _plain(value) for name, value in row.items()}
                answers[k] = self.version | {"customer_id": customers[k].customer_id} | own
                if self.offers is not None:
                    answers[k] |= self._offer(customers[k], offer)
        return [answers[k] for k in range(len(customers))]

    def _by_features(self, customers: Sequence[CustomerData]) -> pl.DataFrame:
        transform = getattr(self.scorer, "transform", None)
        transform = transform or getattr(getattr(self.scorer, "space", None), "transform", None)
        numeric = set(
            self.scorer.columns if self.row is not None else getattr(transform, "needed", ())
        )
        names = self.scorer.columns
        rows = []
        for one in customers:
            loc = (*one.loc, "features")
            assert one.features is not None  # noqa: S101 - the caller has seen to it
            if self.row is not None:
                numbers = read_numbers(one.features, names, loc)
                rows.append(dict(zip(names, numbers, strict=True)))
                continue
            values = read_values(one.features, names, loc)
            read_numbers(
                {n: values[n] for n in names if n in numeric},
                [n for n in names if n in numeric],
                loc,
            )
            rows.append(values)
        schema = {name: pl.Float64() if name in numeric else None for name in names}
        frame = pl.DataFrame(rows, schema=schema, infer_schema_length=None, strict=False)
        frame = frame.with_columns(pl.col(pl.Null).cast(pl.String))
        return self.scorer.score(frame).hstack(frame)

    def _by_rows(self, customers: Sequence[CustomerData]) -> pl.DataFrame:
        if self.histories is None:
            why = f"the model {self.name} takes features, not raw rows: {self.no_histories}"
            raise FieldError((*customers[0].loc, "orders"), why)
        return self.histories.describe(customers)

    def _find_offers(self, frame: pl.DataFrame) -> list[str | None]:
        """Return each customer's offer by the rules, consent aside."""
        if self.offers is None or frame.is_empty():
            return [None] * frame.height
        ids = pl.int_range(frame.height, eager=True).cast(pl.String).alias("customer_id")
        offered = self.offers.apply(frame.with_columns(ids)).frame["offer"]
        without = frame["segment"].is_null()
        return [
            None if bare or one == NO_OFFER else one
            for one, bare in zip(offered, without, strict=True)
        ]

    @staticmethod
    def _offer(customer: CustomerData, offer: str | None) -> dict[str, Any]:
        """Return the offer of a customer who agreed to it; else none, and why."""
        if customer.consent:
            return {"offer": offer, "offer_withheld": None}
        withheld = NOT_RECORDED if customer.consent is None else NO_CONSENT
        return {"offer": None, "offer_withheld": withheld}

    def describe(self) -> dict[str, Any]:
        """Return what the model is and what it needs, as JSON data."""
        as_of = getattr(self.scorer, "as_of", None)
        needed = None
        if self.histories is not None:
            needed = {"orders": list(self.histories.needed["orders"])}
            if self.histories.needs_events:
                needed["events"] = list(self.histories.needed["events"])
        return self.version | {
            "kind": self.scorer.KIND,
            "about": self.scorer.text,
            "as_of": None if as_of is None else as_of.isoformat(),
            "customers_at_fit": self.scorer.rows,
            "features": list(self.scorer.columns),
            "definitions": dict(getattr(self.scorer, "definitions", {}) or {}),
            "takes_raw_rows": self.histories is not None,
            "why_not": self.no_histories or None,
            "columns_needed": needed,
            "value_days": None if self.value is None else self.value.horizon_days,
            "churn_days": None if self.churn is None else self.churn.horizon_days,
            "offers": None if self.offers is None else list(self.offers.offers),
        }

    def list_segments(self) -> list[dict[str, Any]]:
        """Return the segments with their size, share and centre, as JSON data."""
        frame = self.scorer.to_frame()
        return [{n: _plain(v) for n, v in row.items()} for row in frame.rows(named=True)]


def read_places(words: Sequence[str]) -> dict[str, Path]:
    """Read the command line's models: a path, or NAME=PATH; the name is else the file's.

    Raises
    ------
    ParameterError
        If two models have one name, or there is none.
    """
    places: dict[str, Path] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or "/" in name or "\\" in name:
            path = word
            name = Path(word).resolve().name.removesuffix(".json")
        if not name or name in places:
            raise ParameterError(f"two models are called {name!r}; name them: NAME=PATH")
        places[name] = Path(path)
    if not places:
        raise ParameterError("give a model, or the folder of a run")
    return places


def _find_parts(place: Path) -> dict[str, Path]:
    if not place.exists():
        raise SourceError(f"there is no model {place}")
    if place.is_file():
        return {"segment_model": place}
    files = {part: find_model(place, part) for part in PARTS}
    paths = {part: path for part, path in files.items() if path is not None}
    if "segment_model" not in paths:
        raise SourceError(f"{place} holds no segment_model.json; give a model, or a run's folder")
    return paths


def _read_offers(data: Any) -> OfferRules:
    rules = data.get("rules") if isinstance(data, Mapping) else None
    if not isinstance(rules, str):
        raise ModelError("offer_policy.json holds no rules, one a line: IF condition THEN offer")
    offers = OfferRules.parse(rules)
    capped = [one.rule.name for one in offers.rules if one.cap is not None]
    if capped:
        raise ModelError(
            f"{', '.join(capped)} of offer_policy.json has a cap, which counts the customers of a "
            "list; the service sees one customer at a time: take the cap out"
        )
    return offers


def _check_offers(offers: OfferRules, scorer: SegmentScorer) -> None:
    allowed = {"segment", "segment_name", *scorer.columns}
    read = [name for one in offers.rules for name in columns_of(one.rule.condition)]
    unknown = [name for name in dict.fromkeys(read) if name not in allowed]
    if unknown:
        raise ModelError(
            f"the rules of the offers read {', '.join(unknown)}; the service knows of a customer "
            f"{', '.join(sorted(allowed))}"
        )


def _by_segment(offers: OfferRules, scorer: SegmentScorer) -> dict[str, str] | None:
    """Return the offer of each segment, where the rules read nothing of the customer but that."""
    if any(
        set(columns_of(one.rule.condition)) - {"segment", "segment_name"} for one in offers.rules
    ):
        return None
    frame = pl.DataFrame(
        [(key, key, name) for key, name in scorer.names.items()],
        schema=["customer_id", "segment", "segment_name"],
        orient="row",
    )
    rows = offers.apply(frame).frame.select("customer_id", "offer").rows()
    return {segment: offer for segment, offer in rows if offer != NO_OFFER}


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_models(places: Mapping[str, Path]) -> dict[str, ServedModel]:
    """Read every model, or raise the first error."""
    return {name: ServedModel.load(name, place) for name, place in places.items()}


def reload_models(
    places: Mapping[str, Path], current: Mapping[str, ServedModel]
) -> tuple[dict[str, ServedModel], dict[str, str]]:
    """Read every model again; one that cannot be read stays as it is.

    Returns
    -------
    dict of str to ServedModel
    dict of str to str
        Why a model was not replaced, by name.
    """
    models, errors = dict(current), {}
    for name, place in places.items():
        try:
            models[name] = ServedModel.load(name, place)
        except (SegkitError, OSError) as error:
            errors[name] = str(error)
    return models, errors
