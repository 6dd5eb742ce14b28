"""Which identifiers belong to one customer: the mapping, and what is doubtful in it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.display import number
from segkit.result import Result


@dataclass(frozen=True, slots=True, eq=False)
class Identities(Result):
    """Which identifiers belong to one customer, and where that is doubtful.

    Attributes
    ----------
    mapping : polars.DataFrame
        identifier_type, identifier (tidied), customer_id (of the one customer): one row an
        identifier, sorted; for intake. Identifiers cut as hubs are left out.
    customers : polars.DataFrame
        customer_id, identifiers (how many), customer_ids (how many of them customer ids);
        sorted.
    conflicts : polars.DataFrame
        One row a customer and contradicted key: customer_id, key, values (sorted), found
        (how many values), customer_ids (joined in the component).
    large : polars.DataFrame
        Implausibly large components, largest first, at most 20: customer_id, customer_ids,
        identifiers, bridge_type, bridge (the identifier that holds it together),
        bridge_degree, pieces_without, largest_without (customer ids in the largest piece).
    cut : polars.DataFrame
        Hubs that were cut: identifier_type, identifier, degree.
    links : int
        Rows given.
    empty : int
        Cells of the identifier columns that said to be missing ("", "none", "n/a", …).
    customer_ids : int
        Distinct customer ids before linking.
    large_found : int
        Components above the size that counts as plausible.
    """

    mapping: pl.DataFrame
    customers: pl.DataFrame
    conflicts: pl.DataFrame
    large: pl.DataFrame
    cut: pl.DataFrame
    links: int
    empty: int
    customer_ids: int
    large_found: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts, one row each; no identifier is shown."""
        rows = {
            "links": self.links,
            "identifiers": self.mapping.height,
            "customer ids": self.customer_ids,
            "customers after linking": self.customers.height,
            "customers of several customer ids": int((self.customers["customer_ids"] > 1).sum()),
            "customers with a contradiction": self.conflicts["customer_id"].n_unique(),
            "implausibly large customers": self.large_found,
            "hubs cut": self.cut.height,
            "empty identifiers": self.empty,
        }
        return pl.DataFrame({"what": list(rows), "count": list(rows.values())})

    @property
    def text(self) -> str:
        """The finding in words, without any identifier."""
        parts = [
            (
                f"{number(self.links)} links join {number(self.customer_ids)} customer ids and "
                f"{number(self.mapping.height - self.customer_ids)} other identifiers into "
                f"{number(self.customers.height)} customers."
            )
        ]
        if self.cut.height:
            parts.append(
                f"{number(self.cut.height)} identifiers shared by several customers join nobody."
            )
        if self.conflicts.height:
            keys = ", ".join(sorted(set(self.conflicts["key"])))
            count = self.conflicts["customer_id"].n_unique()
            parts.append(f"{number(count)} customers contradict themselves ({keys}).")
        if self.large_found:
            row = self.large.row(0, named=True)
            parts.append(
                f"{number(self.large_found)} are implausibly large; the largest joins "
                f"{number(row['customer_ids'])} customer ids, and without one {row['bridge_type']} "
                f"it falls into {number(row['pieces_without'])}: set max_degree to cut such hubs."
            )
        parts.append("Whoever shares an identifier counts as one customer, families too.")
        return " ".join(parts)
