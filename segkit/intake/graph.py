"""Graph of identifiers: components, hubs, bridges and contradictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.ids import ids_of, is_no_customer

_NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Identifiers and the links between them.

    Attributes
    ----------
    nodes : polars.DataFrame
        identifier_type, identifier, sorted; the row number is the node's.
    codes : numpy.ndarray
        Rows of the links x columns: node number, -1 for no identifier.
    is_customer : numpy.ndarray
        Whether each node is a customer id, which is never cut as a hub.
    """

    nodes: pl.DataFrame
    codes: np.ndarray
    is_customer: np.ndarray

    def anchors(self) -> np.ndarray:
        """Return each row's first identifier (in the columns' order), -1 for none."""
        first = (self.codes != _NONE).argmax(axis=1)
        anchors: np.ndarray = np.take_along_axis(self.codes, first[:, None], axis=1)[:, 0]
        return anchors

    def edges(self) -> np.ndarray:
        """Return the distinct links from each row's anchor to its other identifiers: m x 2."""
        size = max(self.nodes.height, 1)
        anchors = self.anchors()
        keys = []
        for column in self.codes.T:
            linked = (column != _NONE) & (column != anchors)
            keys.append(anchors[linked].astype(np.int64) * size + column[linked])
        pair_keys = np.concatenate(keys)
        pair_keys.sort()
        unique = pair_keys[np.diff(pair_keys, prepend=-1) > 0]
        return np.column_stack([unique // size, unique % size])

    def without(self, hubs: np.ndarray) -> Graph:
        """Return the graph without some nodes."""
        is_hub = np.zeros(self.nodes.height + 1, dtype=bool)
        is_hub[hubs] = True  # the last index is used for -1, no identifier
        codes = np.where(is_hub[self.codes], _NONE, self.codes)
        return Graph(self.nodes, codes, self.is_customer)


def tidy(column: pl.Series, kind: str) -> pl.Series:
    """Read identifiers as in all tables; those that mean "no customer" become null."""
    text = ids_of(column, f"the links' {kind}")
    # E-mail providers ignore case (and RFC 5321's case-sensitive local part is not used).
    ids = text.str.to_lowercase() if "mail" in kind else text
    return ids.set(is_no_customer(ids), None)


def number_nodes(columns: Sequence[tuple[str, pl.Series]], customer: str) -> Graph:
    """Tidy and number the distinct identifiers: sorted by type, then by their text.

    Only distinct spellings are tidied, and each row is then looked up once.
    """
    codes = np.empty((len(columns[0][1]), len(columns)), dtype=np.int32)
    nodes, offset = [], 0
    for place in sorted(range(len(columns)), key=lambda place: columns[place][0]):
        kind, cells = columns[place]
        row_of, spellings = factorize(_as_text(cells, kind).alias("raw"))
        spelt = tidy(spellings, kind).alias("identifier").to_frame()
        identifiers = spelt.select(pl.col("identifier").drop_nulls().unique().sort())
        numbered = identifiers.with_row_index("code", offset=offset)
        code = (
            spelt.join(numbered, on="identifier", how="left", maintain_order="left")
            .select(pl.col("code").cast(pl.Int32).fill_null(_NONE))
            .to_series()
            .to_numpy()
        )
        # The last index is used for -1, a row without an identifier.
        codes[:, place] = np.append(code, np.int32(_NONE))[row_of]
        nodes.append(identifiers.select(pl.lit(kind).alias("identifier_type"), "identifier"))
        offset += identifiers.height
    table = pl.concat(nodes)
    return Graph(table, codes, (table["identifier_type"] == customer).to_numpy())


def _as_text(column: pl.Series, kind: str) -> pl.Series:
    """Read numbers as ids; leave texts to `tidy`, which reads each spelling once."""
    return column if column.dtype == pl.String else ids_of(column, f"the links' {kind}")


def factorize(raw: pl.Series) -> tuple[np.ndarray, pl.Series]:
    """Return each text's index among the distinct texts (-1 for null), and the distinct texts.

    Texts are told apart by a 64-bit hash, which joins three times faster than text; every row
    is then compared with the text that it was taken for, and should two hashes ever collide
    the texts themselves are joined.
    """
    keys = raw.hash(0).alias("key").to_frame()
    codes, firsts = _places(keys)
    spellings = raw.gather(firsts)
    if not raw.eq_missing(spellings.gather(codes)).all():
        codes, firsts = _places(raw.alias("key").to_frame())
        spellings = raw.gather(firsts)
    null = raw.is_null().to_numpy()
    return np.where(null, _NONE, codes), spellings


def _places(keys: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return each key's index among the distinct keys, and the first row of each."""
    distinct = keys.unique().with_row_index("place")
    joined = keys.lazy().join(
        distinct.lazy(), on="key", how="left", maintain_order="left", nulls_equal=True
    )
    codes = joined.select("place").collect().to_series().to_numpy().astype(np.int64)
    firsts = np.empty(distinct.height, dtype=np.int64)
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]
    return codes, firsts


def components(edges: np.ndarray, size: int) -> np.ndarray:
    """Return the component of each node, as arbitrary numbers."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), dtype=np.int8)
    matrix = coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(size, size))
    labels: np.ndarray = connected_components(matrix.tocsr(), directed=False)[1]
    return labels


def degrees(edges: np.ndarray, size: int) -> np.ndarray:
    """Return the number of distinct anchors (usually customers) linked to each node."""
    return np.bincount(edges[:, 1], minlength=size)


@dataclass(frozen=True, slots=True)
class Bridge:
    """The identifier (``node``, -1 for none) that connects the parts of a large component.

    Without it the component falls into ``pieces`` with a customer, the ``largest`` with so many;
    ``degree`` identifiers are linked to it directly.
    """

    node: int
    degree: int
    pieces: int
    largest: int


def find_bridge(edges: np.ndarray, members: np.ndarray, counted: np.ndarray) -> Bridge:
    """Find, among a component's five largest hubs, the one whose removal splits it most.

    ``counted`` marks the customers among the members (all nodes where there is no customer id).
    """
    number = {int(node): place for place, node in enumerate(members)}
    local = np.array([[number[int(a)], number[int(b)]] for a, b in edges]).reshape(-1, 2)
    degree = np.bincount(local.ravel(), minlength=len(members))
    candidates = np.arange(len(members)) if counted.all() else np.flatnonzero(~counted)
    if not candidates.size:
        return Bridge(_NONE, 0, 1, int(counted.sum()))
    bridges = []
    # Stable sort of members sorted by text: the order of the rows has no influence.
    for node in candidates[np.argsort(-degree[candidates], kind="stable")][:5]:
        labels = components(local[(local != node).all(axis=1)], len(members))
        sizes = np.bincount(labels[counted & (np.arange(len(members)) != node)])
        pieces, largest = int((sizes > 0).sum()), int(sizes.max(initial=0))
        bridges.append(Bridge(int(members[node]), int(degree[node]), pieces, largest))
    return min(bridges, key=lambda bridge: (bridge.largest, -bridge.degree))


MAX_LARGE = 20


def gather_claims(
    keys: pl.DataFrame, graph: Graph, labels: np.ndarray, single: Sequence[str]
) -> pl.LazyFrame:
    """Collect each component's values of keys that have one value per person."""
    nodes = graph.nodes.lazy().with_columns(label=pl.Series(labels))
    claims = [
        nodes.filter(pl.col("identifier_type").is_in(list(single))).select(
            "label", key="identifier_type", value="identifier"
        )
    ]
    anchors = graph.anchors()
    named = anchors >= 0
    owners = pl.Series("label", labels[anchors[named]])
    for name in keys.columns:
        values = keys[name].filter(pl.Series(named)).cast(pl.String).alias("value")
        frame = pl.DataFrame([owners, values]).lazy().drop_nulls()
        claims.append(frame.select("label", pl.lit(name).alias("key"), "value"))
    return pl.concat(claims).unique()


def find_conflicts(
    claims: pl.LazyFrame, graph: Graph, names: pl.Series, labels: np.ndarray
) -> pl.DataFrame:
    """List the customers with several values of a key that has one value per person."""
    contradicted = (
        claims.filter(pl.len().over("label", "key") > 1)
        .group_by("label", "key")
        .agg(values=pl.col("value").sort())
        .collect()
    )
    sizes = np.bincount(labels[graph.is_customer], minlength=len(names))
    places = contradicted["label"].to_numpy()
    return contradicted.select(
        names.gather(places),
        "key",
        "values",
        found=pl.col("values").list.len().cast(pl.Int64),
        customer_ids=pl.Series(sizes[places], dtype=pl.Int64),
    ).sort("customer_id", "key")


def list_hubs(graph: Graph, cut: np.ndarray) -> pl.DataFrame:
    """List the identifiers that were cut, with the number of their links."""
    degree = degrees(graph.edges(), graph.nodes.height) if len(cut) else np.empty(0, np.int64)
    nodes: pl.DataFrame = graph.nodes[cut.tolist()]
    hubs = nodes.with_columns(degree=pl.Series(degree[cut], dtype=pl.Int64))
    return hubs.sort("degree", "identifier_type", "identifier", descending=[True, False, False])


def describe_large(
    graph: Graph, names: pl.Series, edges: np.ndarray, labels: np.ndarray, plausible: int
) -> tuple[pl.DataFrame, int]:
    """Describe the largest components and the identifiers that connect them."""
    nodes, is_customer = graph.nodes, graph.is_customer
    counted = is_customer if is_customer.any() else np.ones(len(labels), dtype=bool)
    sizes = np.bincount(labels[counted], minlength=len(names))
    suspects = np.flatnonzero(sizes > plausible).tolist()
    order = sorted(suspects, key=lambda label: (-sizes[label], names[label]))[:MAX_LARGE]
    rows: list[tuple[Any, ...]] = []
    for label in order:
        members = np.flatnonzero(labels == label)
        inside = edges[labels[edges[:, 0]] == label]
        bridge = find_bridge(inside, members, counted[members])
        kind, name = nodes.row(bridge.node) if bridge.node >= 0 else (None, None)
        found = (bridge.degree, bridge.pieces, bridge.largest)
        rows.append((names[label], int(sizes[label]), len(members), kind, name, *found))
    schema: dict[str, type[pl.DataType]] = {
        "customer_id": pl.String,
        "customer_ids": pl.Int64,
        "identifiers": pl.Int64,
        "bridge_type": pl.String,
        "bridge": pl.String,
        "bridge_degree": pl.Int64,
        "pieces_without": pl.Int64,
        "largest_without": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row"), len(suspects)
