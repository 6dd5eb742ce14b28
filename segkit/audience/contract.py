"""What does a segment on a list mean? The contract that travels with every list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from segkit.errors import ModelError
from segkit.writing import write_whole


@dataclass(frozen=True, slots=True)
class SegmentContract:
    """What a list's segments are, so that whoever uses it later knows what was agreed.

    Attributes
    ----------
    campaign_id : str
    as_of : str
        ISO date up to which the segments look.
    model_version, model_hash, method : str
        Which segkit made the model, from which data (SHA-256), how.
    definitions : dict of str to str
        Segment id to what it means in words.
    cut_points : dict of str to dict of str to float
        Segment id to its borders: for clusters the centre in original units (a customer belongs
        to the nearest), for rules the rule's own cuts.
    features : dict of str to str
        Column to its definition.
    offers : dict of str to str
        Segment id to the offer that the policy gives it, or the rules' text under "rules".
    consent : str
        What the lists assume of customers whose consent is not recorded; set as they are written.
    """

    campaign_id: str
    as_of: str
    model_version: str
    model_hash: str
    method: str
    definitions: dict[str, str]
    cut_points: dict[str, dict[str, float]] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    consent: str = ""

    @classmethod
    def of_model(
        cls, campaign_id: str, model: Mapping[str, Any], *, offers: Mapping[str, str] | None = None
    ) -> Self:
        """Take the contract from a stored segment model (notebook 05's ``segment_model``).

        Raises
        ------
        ModelError
            If the data hold no segments.
        """
        segments = model.get("segments")
        if not segments:
            raise ModelError("the segment model holds no segments: no contract can be drawn up")
        definitions = {
            str(one["id"]): f"{one['name']}: nearest to its centre among {len(segments)} segments"
            for one in segments
        }
        centres = {
            str(one["id"]): {str(k): float(v) for k, v in dict(one.get("centre") or {}).items()}
            for one in segments
        }
        features = {
            str(one["name"]): str(one.get("definition") or one["name"])
            for one in model.get("features") or ()
        }
        return cls(
            campaign_id, str(model.get("as_of") or ""), str(model.get("segkit_version") or ""),
            str(model.get("data_hash") or ""), str(model.get("method") or ""), definitions,
            centres, features, dict(offers or {}),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return asdict(self)

    def save(self, path: Path) -> Path:
        """Write the contract as JSON."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        return write_whole(path, text, private=True)
