"""Identity of customers: identifiers linked by connected components."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.intake.graph import (
    Graph,
    components,
    degrees,
    describe_large,
    find_conflicts,
    gather_claims,
    list_hubs,
    number_nodes,
)
from segkit.result import Result


@dataclass(frozen=True, slots=True, eq=False)
class Identities(Result):
    """Identifiers linked to customers, with the doubtful cases.

    Attributes
    ----------
    mapping : polars.DataFrame
        identifier_type, identifier (normalised), customer_id: one row per identifier, sorted; for
        the intake. Identifiers cut as hubs are left out.
    customers : polars.DataFrame
        customer_id, identifiers (how many), customer_ids (how many of them customer ids);
        sorted.
    conflicts : polars.DataFrame
        One row per customer and contradicted key: customer_id, key, values (sorted), found
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
        Cells of the identifier columns with a word for missing ("", "none", "n/a", …).
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
                f"{counted(self.links, 'link joins', 'links join')} "
                f"{counted(self.customer_ids, 'customer id')} and "
                f"{counted(self.mapping.height - self.customer_ids, 'other identifier')} into "
                f"{counted(self.customers.height, 'customer')}."
            )
        ]
        if self.cut.height:
            parts.append(
                f"{counted(self.cut.height, 'identifier')} shared by several customers: joining "
                "nobody."
            )
        if self.conflicts.height:
            keys = ", ".join(sorted(set(self.conflicts["key"])))
            count = self.conflicts["customer_id"].n_unique()
            parts.append(
                f"{counted(count, 'customer contradicts', 'customers contradict')} themselves "
                f"({keys})."
            )
        if self.large_found:
            row = self.large.row(0, named=True)
            parts.append(
                f"{number(self.large_found)} are implausibly large; the largest joins "
                f"{counted(row['customer_ids'], 'customer id')}, and without one "
                f"{row['bridge_type']} it falls into {number(row['pieces_without'])}: set "
                "max_degree to cut such hubs."
            )
        parts.append("Whoever shares an identifier counts as one customer, families too.")
        return " ".join(parts)


IDENTIFIERS = ("customer_id", "email", "device_id", "loyalty_id")


@takes_frames
def link_identifiers(
    links: pl.DataFrame,
    *,
    identifiers: Sequence[str] | None = None,
    hard_keys: Sequence[str] | None = None,
    single: Sequence[str] = ("loyalty_id",),
    max_degree: int | None = None,
    weak: Sequence[str] = (),
    plausible: int = 10,
) -> Identities:
    """Link identifiers that were seen together to one customer each.

    Each row says that its identifiers belong to one person; identifiers connected directly or
    through others are one customer (connected components). The customer's id is the smallest of its
    customer ids as text, or a hash of its smallest identifier where it has none: the same whatever
    the order of the rows. Identifiers are read as in every table (`segkit.ids.read_ids`), and words
    for no customer ("unknown", "0", "(not set)": `segkit.ids.NO_CUSTOMER`) count as missing;
    placeholders such as ``none@shop.com`` are not detected, but appear as the bridge of a large
    component.

    Parameters
    ----------
    links : polars.DataFrame
        One column per identifier type (customer_id, email, device_id, loyalty_id, or as named
        in ``identifiers``), nulls allowed.
    identifiers : sequence of str, optional
        The identifier columns, by default those of the four that the frame has.
    hard_keys : sequence of str, optional
        Columns with one value per person; by default birth_date if the frame has it.
    single : sequence of str
        Identifier types of which each person has only one.
    max_degree : int, optional
        An identifier, other than a customer id, seen with more customers than this is a hub and
        links nobody. (In rows without a customer id, the different values of the row's first
        identifier are counted.) By default no hub is cut.
    weak : sequence of str
        Identifier types that never join customers, such as devices that families share. Such an
        identifier is cut if it was seen with several customers, and assigned to its customer
        otherwise.
    plausible : int
        Customer ids (identifiers, where there are none) above which a component is reported.

    Returns
    -------
    Identities

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If there is no row, or no identifier in any.
    ParameterError
        If a limit is below one, or fewer than two identifier columns are there.

    Examples
    --------
    >>> links = pl.DataFrame({"customer_id": ["7", "9", "4"],
    ...     "email": ["ann@x.org", " Ann@X.org", "bo@x.org"]})
    >>> link_identifiers(links).mapping.filter(pl.col("identifier_type") == "customer_id").rows()
    [('customer_id', '4', '4'), ('customer_id', '7', '7'), ('customer_id', '9', '7')]
    """
    for name, value in (("max_degree", max_degree), ("plausible", plausible)):
        if value is not None and value < 1:
            raise ParameterError(f"{name} must be at least 1, got {value}")
    if links.is_empty():
        raise DataError("there are no links")
    columns = _columns(links, identifiers)
    whole = number_nodes(columns, customer="customer_id")
    if not whole.nodes.height:
        raise DataError("no row holds an identifier")
    graph, cut = _cut(whole, max_degree, weak)
    edges = graph.edges()
    labels = components(edges, whole.nodes.height)
    names = _name(whole, labels)
    is_kept = np.ones(len(labels), dtype=bool)
    is_kept[cut] = False
    claims = gather_claims(links.select(_hard_keys(links, hard_keys)), graph, labels, single)
    large, large_found = describe_large(whole, names, edges, labels, plausible)
    return Identities(
        mapping=whole.nodes.with_columns(customer_id=names.gather(labels)).filter(
            pl.Series(is_kept)
        ),
        customers=_customers(whole, names, labels, is_kept),
        conflicts=find_conflicts(claims, whole, names, labels),
        large=large,
        cut=list_hubs(whole, cut),
        links=links.height,
        empty=int((whole.codes < 0).sum()) - sum(series.null_count() for _, series in columns),
        customer_ids=int(whole.is_customer.sum()),
        large_found=large_found,
    )


def _columns(links: pl.DataFrame, identifiers: Sequence[str] | None) -> list[tuple[str, pl.Series]]:
    """Return the identifier columns with their types, the customer id first."""
    names = [n for n in IDENTIFIERS if n in links.columns] if identifiers is None else identifiers
    require_columns(links.columns, names, "links")
    if len(set(names)) < 2:
        raise ParameterError(
            "expected at least two identifier columns, such as customer_id and email; got "
            f"{', '.join(names) or 'none'} among {', '.join(links.columns)}"
        )
    ordered = sorted(dict.fromkeys(names), key=lambda name: name != "customer_id")
    return [(name, links[name]) for name in ordered]


def _cut(graph: Graph, max_degree: int | None, weak: Sequence[str]) -> tuple[Graph, np.ndarray]:
    """Remove identifiers seen with too many customers, and weak ones seen with several."""
    is_cut = np.zeros(graph.nodes.height, dtype=bool)
    if max_degree is not None:
        is_cut = (degrees(graph.edges(), graph.nodes.height) > max_degree) & ~graph.is_customer
    doubtful = graph.nodes["identifier_type"].is_in(list(weak)).to_numpy() & ~is_cut
    if doubtful.any():
        owners = components(graph.without(np.flatnonzero(doubtful | is_cut)).edges(), len(is_cut))
        edges = graph.edges()
        pairs = np.concatenate([edges, edges[:, ::-1]])
        doubtful_pairs = pairs[
            doubtful[pairs[:, 0]] & ~doubtful[pairs[:, 1]] & ~is_cut[pairs[:, 1]]
        ]
        owner_pairs = pl.DataFrame(
            {"node": doubtful_pairs[:, 0], "owner": owners[doubtful_pairs[:, 1]]}
        ).unique()
        several = owner_pairs.filter(pl.len().over("node") > 1)["node"].unique().to_numpy()
        is_cut[several] = True
    hubs = np.flatnonzero(is_cut)
    return (graph.without(hubs) if len(hubs) else graph), hubs


def _name(graph: Graph, labels: np.ndarray) -> pl.Series:
    """Return each component's stable id: its smallest customer id, or a hash."""
    nodes = np.arange(len(labels))
    count = int(labels.max()) + 1
    customer, other = np.full(count, -1), np.full(count, -1)
    # Nodes are sorted by text; assigned from last to first, so that the smallest is kept.
    for first, chosen in ((customer, graph.is_customer), (other, ~graph.is_customer)):
        first[labels[chosen][::-1]] = nodes[chosen][::-1]
    names = graph.nodes["identifier"].gather(np.where(customer < 0, 0, customer))
    nameless = np.flatnonzero(customer < 0)
    smallest = graph.nodes[other[nameless].tolist()]
    hashed = [
        "anon-" + hashlib.blake2b(f"{kind}:{value}".encode(), digest_size=10).hexdigest()
        for kind, value in smallest.iter_rows()
    ]
    return (names.scatter(nameless, hashed) if hashed else names).alias("customer_id")


def _customers(
    graph: Graph, names: pl.Series, labels: np.ndarray, is_kept: np.ndarray
) -> pl.DataFrame:
    count = len(names)
    frame = pl.DataFrame(
        {
            "customer_id": names,
            "identifiers": np.bincount(labels[is_kept], minlength=count),
            "customer_ids": np.bincount(labels[graph.is_customer], minlength=count),
        }
    )
    return frame.filter(pl.col("identifiers") > 0).sort("customer_id")


def _hard_keys(links: pl.DataFrame, hard_keys: Sequence[str] | None) -> list[str]:
    if hard_keys is None:
        return [name for name in ("birth_date",) if name in links.columns]
    require_columns(links.columns, hard_keys, "links")
    return list(hard_keys)
