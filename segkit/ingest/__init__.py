"""Raw tables in, clean tables out, every row accounted for: mapping, audit, intake, trace."""

from segkit.ingest.audit import Audit, Finding, check
from segkit.ingest.mapping import Mapping, TableMapping
from segkit.ingest.process import Intake, intake

__all__ = ["Audit", "Finding", "Intake", "Mapping", "TableMapping", "check", "intake"]
