from segkit.ingest.audit import Audit as Audit
from segkit.ingest.audit import check as check
from segkit.ingest.clean import count_customers as count_customers
from segkit.ingest.clean import intake as intake
from segkit.ingest.identity import Identities as Identities
from segkit.ingest.identity import link as link
from segkit.ingest.ledger import Ledger as Ledger
from segkit.ingest.mapping import Mapping as Mapping
from segkit.ingest.mapping import TableMapping as TableMapping
from segkit.ingest.questions import Finding as Finding
from segkit.ingest.store import Intake as Intake
from segkit.ingest.store import Trace as Trace

__all__: list[str]
