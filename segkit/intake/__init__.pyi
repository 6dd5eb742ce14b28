from segkit.intake.archive import ProfileArchive as ProfileArchive
from segkit.intake.audit import Audit as Audit
from segkit.intake.audit import audit_data as audit_data
from segkit.intake.clean import clean_data as clean_data
from segkit.intake.clean import count_customers as count_customers
from segkit.intake.identity import Identities as Identities
from segkit.intake.identity import link_identifiers as link_identifiers
from segkit.intake.ledger import Ledger as Ledger
from segkit.intake.mapping import Mapping as Mapping
from segkit.intake.mapping import TableMapping as TableMapping
from segkit.intake.profiles import ProfileStore as ProfileStore
from segkit.intake.questions import Finding as Finding
from segkit.intake.store import Intake as Intake
from segkit.intake.store import Trace as Trace

__all__: list[str]
