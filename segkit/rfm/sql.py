"""RFM scores and segment rules as SQL: one query, or a dbt project with tests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from segkit.errors import ModelError, ParameterError, SourceError
from segkit.result import read_json
from segkit.rfm.cuts import COLUMNS, DIMENSIONS, Cuts
from segkit.rfm.scoring import Monetary, checked
from segkit.rfm.segments import build_rfm_segments
from segkit.rules import RuleSet
from segkit.rules.conditions import Comparison, quote_name, write_sql
from segkit.writing import write_whole

Table = Literal["customers", "orders"]
_UNSCORED = " OR ".join(
    ['"recency_days" IS NULL', '"frequency" IS NULL', '"frequency" <= 0', '"monetary" IS NULL']
)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_PIECES = re.compile(r"""'[^']*'|"[^"]*"|\n""")
# Order lines to one row per customer, as `segkit.rfm.build_rfm_table` does.
_ORDERS = """SELECT
  "customer_id",
  {as_of} - MAX("order_date") AS "recency_days",
  COUNT("order_date") AS "frequency",
  ROUND(SUM("amount"), 6) AS "monetary"
FROM (
  SELECT
    "customer_id",
    MAX(CASE WHEN NOT "is_return" THEN "order_date" END) AS "order_date",
    SUM({amount}) AS "amount"
  FROM {source}
  WHERE "customer_id" IS NOT NULL AND "order_date" <= {as_of}
  GROUP BY "customer_id", "order_id"
) AS "orders_of_customers"
GROUP BY "customer_id\""""
_AMOUNT = {"net": '"amount"', "gross": 'CASE WHEN "is_return" THEN 0 ELSE "amount" END'}


@dataclass(frozen=True, slots=True)
class SegmentSql:
    """Segment rules, with the RFM cut-points that they rest on, ready to be written as SQL.

    Names are quoted; the SQL is standard but for the difference of two dates in days, and checked
    against DuckDB. The same customers get the same scores and segments as in segkit. Customers
    without a purchase have no score and no segment.

    Attributes
    ----------
    rules : RuleSet
        Over r, f and m where there are cuts, else over the columns of the table.
    cuts : Cuts or None
        Cut-points of RFM scores.
    table : {"customers", "orders"}
        What the SQL reads: one row per customer (customer_id and what the rules read, or
        recency_days, frequency, monetary), or order lines (customer_id, order_id, order_date,
        amount, is_return).
    as_of : date or None
        Order lines: the last day that counts; in the dbt project a variable of that name.
    monetary : {"net", "gross"}
        Order lines: whether returns are taken off.

    Raises
    ------
    ParameterError
        If order lines are to be read without cuts or without a day.
    RuleError
        If the segments leave a gap or overlap.

    Examples
    --------
    >>> cuts = Cuts((30.0,), (2.0,), (100.0,), method="fixed", ties="given")
    >>> print(SegmentSql.of_cuts(cuts).to_sql().splitlines()[-4])
        WHEN "r" = 1 AND "f" = 2 AND "m" = 1 THEN 'At risk'
    """

    rules: RuleSet
    cuts: Cuts | None = None
    table: Table = "customers"
    as_of: date | None = None
    monetary: Monetary = "net"

    def __post_init__(self) -> None:
        if self.cuts is not None:
            object.__setattr__(self, "rules", checked(self.rules, self.cuts))
        if self.table == "orders" and self.cuts is None:
            raise ParameterError("order lines are scored by cut-points: give the cuts too")
        if self.table == "orders" and self.as_of is None:
            raise ParameterError("order lines need the last day that counts: as_of")

    @classmethod
    def of_cuts(
        cls,
        cuts: Cuts,
        segments: RuleSet | None = None,
        *,
        table: Table = "customers",
        as_of: date | None = None,
        monetary: Monetary = "net",
    ) -> SegmentSql:
        """Take RFM cuts with their segments, by default `build_rfm_segments` of as many bins."""
        rules = build_rfm_segments(cuts.bins) if segments is None else segments
        return cls(rules, cuts, table, as_of or cuts.as_of, monetary)

    @classmethod
    def load(
        cls, path: Path | str, *, table: Table = "customers", as_of: date | None = None
    ) -> SegmentSql:
        """Read rules (TOML, JSON, text), saved cuts (JSON), or the RFM segments of a run's folder.

        Raises
        ------
        SourceError
            If the folder holds no RFM segments.
        RuleError, ModelError
            If the file is absent or holds something else.
        """
        source = Path(path)
        rules = None
        if source.is_dir():
            stored = sorted(source.glob("*/data/rfm_cuts.json"))
            if not stored:
                raise SourceError(f"{source.name} holds no RFM segments: run notebook 03 first")
            source = stored[0]
            rules = RuleSet.load(source.with_name("rfm_rules.json"))
        data = read_json(source, "file of cuts") if source.suffix == ".json" else {}
        if not isinstance(data, dict):
            raise ModelError(f"{source.name} holds neither rules nor cuts")
        if "recency" in data:
            return cls.of_cuts(Cuts.from_dict(data), rules, table=table, as_of=as_of)
        return cls(RuleSet.load(source), table=table, as_of=as_of)

    def to_sql(self, source: str = "") -> str:
        """Write one query.

        Parameters
        ----------
        source : str
            Name of the table it reads; `table` by default.
        """
        steps = self._steps(
            quote_name(source or self.table), [quote_name(n) for n in self._names()]
        )
        *before, (_, last) = steps
        if not before:
            return last
        parts = ",\n".join(f"{quote_name(name)} AS (\n{_indent(text)}\n)" for name, text in before)
        return f"WITH {parts}\n{last}"

    def write_dbt(
        self,
        folder: Path | str,
        *,
        project: str = "segkit_segments",
        source: str = "shop",
        schema: str = "main",
        table: str = "",
    ) -> tuple[Path, ...]:
        """Write a dbt project: one model per step, and ``schema.yml`` with sources and tests.

        Tests: customer_id is unique and not null, scores and segments have accepted values, and
        every customer with a score has a segment.

        Parameters
        ----------
        folder : path
            Absent or empty.
        project : str
            Name of the project, and of the profile by which dbt connects.
        source, schema, table : str
            dbt's name of the source, the schema it lies in, and its table (`table` by default).

        Raises
        ------
        ParameterError
            If the folder holds something, or a name is none that dbt takes.
        """
        place = Path(folder)
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise ParameterError(f"{place} is not empty; name another folder")
        for name in (project, source):
            if not _NAME.fullmatch(name):
                raise ParameterError(f"dbt takes names of a-z, 0-9 and _, got {name!r}")
        table = table or self.table
        names = self._names()
        read = f"{{{{ source({_jinja_string(source)}, {_jinja_string(table)}) }}}}"
        refs = [f"{{{{ ref('{name}') }}}}" for name in names]
        day = "DATE '{{ var(\"as_of\") }}'"
        files = {
            f"models/{name}.sql": f"{{{{ config(materialized='table') }}}}\n\n{text}\n"
            for name, text in self._steps(read, refs, day=day, escape=_escaped)
        }
        files["models/schema.yml"] = self._schema(names[-1], source, schema, table)
        files["dbt_project.yml"] = self._project(project)
        place.mkdir(parents=True, exist_ok=True)
        (place / "models").mkdir()
        return tuple(write_whole(place / name, text) for name, text in files.items())

    def _names(self) -> list[str]:
        """Return the names of the steps."""
        first = ["rfm_table"] if self.table == "orders" else []
        return [*first, *(["rfm_scores"] if self.cuts else []), "customer_segments"]

    def _steps(
        self, source: str, tables: Sequence[str], day: str = "", escape: Callable[[str], str] = str
    ) -> list[tuple[str, str]]:
        """Return each step's name and query; each reads the one before."""
        steps, read = [], source
        for name, relation in zip(self._names(), tables, strict=True):
            if name == "rfm_table":
                as_of = day or f"DATE '{self.as_of}'"
                text = _ORDERS.format(as_of=as_of, amount=_AMOUNT[self.monetary], source=read)
            elif name == "rfm_scores":
                text = self._scores(read)
            else:
                text = self._segments(read, escape(self.rules.sql_column()))
            steps.append((name, text))
            read = relation
        return steps

    def _scores(self, source: str) -> str:
        assert self.cuts is not None  # noqa: S101 (a step that stands only with cuts)
        columns = ['"customer_id"', *(f'"{name}"' for name in COLUMNS.values())]
        for name, letter in zip(DIMENSIONS, "rfm", strict=True):
            points: tuple[float, ...] = getattr(self.cuts, name)
            top = len(points) + 1
            cases = [f"WHEN {_UNSCORED} THEN NULL"]
            for place in range(len(points), 0, -1):  # the highest cut that is reached decides
                reached = write_sql(Comparison(COLUMNS[name], ">=", points[place - 1]))
                score = top - place if name == "recency" else place + 1
                cases.append(f"WHEN {reached} THEN {score}")
            cases.append(f"ELSE {top if name == 'recency' else 1}")
            lines = "\n    ".join(cases)
            columns.append(f'CASE\n    {lines}\n  END AS "{letter}"')
        listed = ",\n  ".join(columns)
        return f"SELECT\n  {listed}\nFROM {source}"

    def _segments(self, source: str, segment: str) -> str:
        if self.cuts is None:
            return f"SELECT\n  *,\n  {_below(segment)}\nFROM {source}"
        separator = " || '-' || " if max(self.cuts.bins) > 9 else " || "
        joined = separator.join(f'CAST("{letter}" AS VARCHAR)' for letter in "rfm")
        scored = segment.replace("CASE", 'CASE\n  WHEN "r" IS NULL THEN NULL', 1)
        return f'SELECT\n  *,\n  {joined} AS "rfm",\n  {_below(scored)}\nFROM {source}'

    def _schema(self, model: str, source: str, schema: str, table: str) -> str:
        """Write sources, the model's columns and their tests."""
        key = ["      - name: customer_id", "        data_tests: [not_null, unique]"]
        lines = ["version: 2", "", "sources:", f"  - name: {source}"]
        lines += [f"    schema: {json.dumps(schema)}", "    tables:"]
        lines += [f"      - name: {json.dumps(table)}"]
        if self.table == "customers":
            lines += ["        columns:", *(f"    {line}" for line in key)]
        lines += ["", "models:", f"  - name: {model}", "    columns:", *key]
        if self.cuts is not None:
            for letter, top in zip("rfm", self.cuts.bins, strict=True):
                lines += [f"      - name: {letter}", "        data_tests:"]
                lines += _accepted(list(range(1, top + 1)))
        if self.rules.policy == "many":
            for name in self.rules.names:
                lines += [f"      - name: {json.dumps(name)}", "        quote: true"]
                lines += ["        data_tests: [not_null]"]
            return "\n".join(lines) + "\n"
        lines += ["      - name: segment", "        data_tests:"]
        # dbt puts quotes around a value and doubles none within it
        lines += _accepted([_escaped(name.replace("'", "''")) for name in self.rules.names])
        if self.cuts is not None:
            where = '"r" is not null'
            lines += ["          - not_null:", "              config:"]
            lines += [f"                where: {json.dumps(where)}"]
        elif self.rules.check().gaps.is_empty():
            lines += ["          - not_null"]
        return "\n".join(lines) + "\n"

    def _project(self, project: str) -> str:
        lines = [f"name: {project}", 'version: "1.0.0"', f"profile: {project}"]
        lines += ['model-paths: ["models"]']
        if self.table == "orders":
            lines += ["vars:", f'  as_of: "{self.as_of}"']
        return "\n".join(lines) + "\n"


def _accepted(values: Sequence[str | int]) -> list[str]:
    lines = ["          - accepted_values:", "              arguments:"]
    lines += [f"                values: {json.dumps(list(values), ensure_ascii=False)}"]
    return lines + ([] if isinstance(values[0], str) else ["                quote: false"])


def _escaped(sql: str) -> str:
    """Keep Jinja from reading brackets in names and texts as its own, or changing line ends."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", sql).replace("\r", r"{{ '\r' }}")


def _below(text: str) -> str:
    """Indent the lines after the first; line breaks within quotes belong to a text or a name."""
    return _PIECES.sub(lambda match: match[0] + "  " * (match[0] == "\n"), text)


def _indent(text: str) -> str:
    return f"  {_below(text)}"


def _jinja_string(text: str) -> str:
    for plain, escaped in (("\\", r"\\"), ("'", r"\'"), ("\r", r"\r")):
        text = text.replace(plain, escaped)
    return f"'{text}'"
