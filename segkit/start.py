"""First look at a shop's customers: questions, one page, one workbook, import files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.campaign.outlook import Outlook, build_outlook
from segkit.campaign.platforms import MAIL_TOOLS, shape_mail_import
from segkit.display import counted, money, number, percent
from segkit.errors import DataError, SegkitError, SourceError
from segkit.intake import Mapping
from segkit.intake.answers import as_options, mapping_of, offered_answers
from segkit.intake.layouts import list_layouts
from segkit.intake.questions import MOST_ASKED, explain_signs
from segkit.pipeline import LEAST_CUSTOMERS, link_source
from segkit.report.outlook_page import write_outlook_page
from segkit.spreadsheets import as_workbook
from segkit.writing import private_folder, write_frame, write_whole

if TYPE_CHECKING:
    from segkit.intake import Audit, Intake
    from segkit.intake.questions import Finding

PAGE, WORKBOOK, MAPPING = "customers.html", "segments.xlsx", "mapping.toml"
KINDS = (
    "(a kind of row can be line, which counts, return, which was given back, discount, which comes "
    "off, or other, which is left out: one --answer for each word.)"
)
MEANINGS = ("sale", "unpaid", "cancelled", "refunded")  # of the state of an order
MOST_TRIES = 3  # of an answer that cannot be read
MOST_USED = 0.9  # where fewer lines than this share are used, the page says so first
MOST_REASONS = 3
# Lines that are left out and are no sales.
NO_SALES = {
    "total_line": "sums of other lines",
    "missing_amount": "lines without an amount, such as payments",
    "other_type": "lines of another kind",
}
DEMO_CUSTOMERS = 800
HEADINGS = {
    "customer_id": "Customer",
    "email": "E-mail",
    "segment": "Segment",
    "last_order": "Last order",
    "orders": "Orders",
    "revenue": "Revenue",
    "contact": "May be written to",
    "action": "Suggested action",
}
# Asks a question: its text and the answers offered, the best first; returns what was typed: empty
# for the first, the number of one, a value, or an answer of one's own.
Ask = Callable[[str, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Start:
    """The files of a first look, and what they show.

    Attributes
    ----------
    folder : pathlib.Path
    page : pathlib.Path
    files : tuple of pathlib.Path
        All files written, the page first.
    outlook : Outlook
    understood : str
        Which columns were read as what, how much they hold, and what is left out.
    notices : tuple of str
        What must be seen first, such as lists that were not written.
    """

    folder: Path
    page: Path
    files: tuple[Path, ...]
    outlook: Outlook
    understood: str
    notices: tuple[str, ...] = ()


def start(
    data: Path | None,
    *,
    out: Path | None = None,
    mapping: Path | None = None,
    answers: Sequence[str] = (),
    ask: Ask | None = None,
    assume_consent: bool = False,
) -> Start:
    """Read a shop's orders, and write page, workbook and import files to one folder.

    Parameters
    ----------
    data : pathlib.Path or None
        A file of orders, or a folder of tables; None shows a simulated retailer.
    out : pathlib.Path, optional
        The folder; by default named after the data, in the working folder.
    mapping : pathlib.Path, optional
        A mapping of an earlier look, or one's own.
    answers : sequence of str
        Answers to questions, such as ``orders.day_first=true``.
    ask : callable, optional
        Asks at most three questions; without it an open question is an error.
    assume_consent : bool
        Write customers on the lists whose consent is not recorded, where it is not refused.

    Raises
    ------
    DataError
        If a question is open, with the option that answers it.
    SourceError, MappingError, ParameterError, WriteError
        If a file is missing, cannot be read or written, or an answer fits no option.
    """
    from segkit.intake import clean_data
    from segkit.intake.layouts import add_contacts

    source: Any
    if data is None:
        from segkit.datasets import load_source

        name, source = "simulated retailer", load_source("simulated", n_customers=DEMO_CUSTOMERS)
    else:
        for path in (data, mapping):
            if path is not None and not path.exists():
                raise SourceError(f"there is no file {path}")
        name = data.name or data.resolve().name
        source = answer_questions(
            data, Mapping.load(mapping) if mapping else Mapping(), answers, ask
        )
    taken = add_contacts(clean_data(source, identities=link_source(source)))
    outlook = build_outlook(taken, unrecorded="granted" if assume_consent else "refused")
    unread = [] if data is None else [one for one in source.findings if one.kind == "consent"]
    stem = name if data is None or data.is_dir() else Path(name).stem
    folder = out or Path(re.sub(r"[^\w.-]+", "-", stem) + "-customers")
    doubts = [] if data is None else _doubts(source.findings)
    return _write(folder, name, taken, outlook, unread, doubts, assume_consent=assume_consent)


# Questions ------------------------------------------------------------------------------


def answer_questions(data: Path, given: Mapping, answers: Sequence[str], ask: Ask | None) -> Audit:
    """Audit the data until no question is open, asking at most three.

    Raises
    ------
    DataError
        If a question stays open.
    """
    from segkit.intake import audit_data

    given_answers = [*answers]
    audit = audit_data(data, mapping_of(given_answers).over(given))
    asked = 0
    while True:
        questions = [one for one in audit.findings if one.severity == "block"]
        if not questions:
            questions = [one for one in audit.findings if one.kind == "consent"]
            if ask is None or asked == MOST_ASKED or not questions:
                return audit
        if ask is None or asked == MOST_ASKED or audit.refused:
            raise DataError(_stop(questions, given_answers[len(answers) :], asked))
        asked += 1
        mistake = ""
        for attempt in range(MOST_TRIES):
            try:
                replies = _reply(questions[0], ask, mistake)
                audit = audit_data(data, mapping_of([*given_answers, *replies]).over(given))
            except SegkitError as error:
                if attempt == MOST_TRIES - 1:
                    open_questions = _stop(questions, given_answers[len(answers) :], asked)
                    raise DataError(f"{error}\n{open_questions}") from error
                mistake = f"That cannot be used ({error}). Once more: "
            else:
                given_answers += replies
                break


def _reply(question: Finding, ask: Ask, mistake: str = "") -> list[str]:
    """Ask one question, and return the lines of a mapping that answer it."""
    example = f" For example: {question.example}." if question.example else ""
    text = f"{mistake}{question.finding}{example}"
    shown = offered_answers(question.answer)
    if question.kind == "words":  # nothing tells them, so that none is assumed
        return [_ask_state(f"{line.rpartition('=')[0]}=...", text, ask) for line in shown[0]]
    offers = [offer for offer in shown if "..." not in " ".join(offer)]
    offered = [" and ".join(offer) for offer in offers]
    typed = ask(text, offered or [question.answer]).strip()
    if not typed and offered:
        return offers[0]
    if typed.isdecimal() and 1 <= int(typed) <= len(offered):
        return offers[int(typed) - 1]
    lines = [line.rpartition("=")[0] for line in shown[0]] if shown else []
    section = {line.rpartition(".")[0] for line in lines}
    if lines and "=" not in typed:  # the value alone, of every word that is asked about
        is_alike = len(section) == 1 or all(".values." in line for line in lines)
        return [f"{line}={typed}" for line in (lines if is_alike else lines[-1:])]
    words = re.findall(r"([^=,]+)=\s*(\w+)", typed)
    if len(section) == 1 and ".values." in lines[0] and not re.match(r"\[|\w+\.", typed):
        bare = [(word.strip(" '\""), meant) for word, meant in words]
        return [f"{min(section)}.'{word}'={meant}" for word, meant in bare]
    return [typed]


def _ask_state(line: str, text: str, ask: Ask) -> str:
    """Ask what one word of a state means, the likely meaning first."""
    path, _, likely = line.rpartition("=")
    meanings = sorted(MEANINGS, key=lambda meaning: meaning != likely)
    word = re.sub(r"^\w+\.values\.\w+\.", "", path).strip("'\"")
    question = f"{text}\n{word or 'empty'!r} is:"
    for _ in range(MOST_TRIES):
        typed = ask(question, meanings).strip()
        if typed.isdecimal() and 1 <= int(typed) <= len(meanings):
            typed = meanings[int(typed) - 1]
        if not typed and likely in meanings:
            typed = likely
        if typed in meanings:
            return f"{path}={typed}"
        if "=" in typed:  # an answer of one's own
            return typed
        question = f"{word or 'empty'!r} is one of {', '.join(meanings)}; {typed!r} is none:"
    raise DataError(f"{word!r} is to be one of {', '.join(meanings)}; got {typed!r}")


def _stop(questions: Sequence[Finding], given: Sequence[str], asked: int) -> str:
    """Say which questions are open, and how each is answered on the command line."""
    lines = [f"{counted(len(questions), 'question')} must be answered first:"]
    if asked:
        again = " ".join(f"--answer {json.dumps(line, ensure_ascii=False)}" for line in given)
        lines = [f"after {counted(asked, 'answer')} there are open questions still:"]
        lines = [*lines, f"- pass what you have answered again: {again}"]
    if any(question.is_refusal for question in questions):
        lines = ["the file cannot be used as orders:"]
    for question in questions:
        options = " or ".join(as_options(question.answer))
        lines.append(f"- {question.finding}\n  pass {options or question.answer}")
    lines += explain_signs(questions)
    if any("row_kind" in question.answer for question in questions):
        lines.append(KINDS)
    return "\n".join(lines)


# Files ----------------------------------------------------------------------------------


def _write(
    folder: Path,
    name: str,
    taken: Intake,
    outlook: Outlook,
    unread: Sequence[Finding],
    doubts: Sequence[str],
    *,
    assume_consent: bool,
) -> Start:
    from segkit.intake.counts import understand

    private_folder(folder)
    listed = 0 if unread else outlook.audience.frame.height
    files = {WORKBOOK: "a sheet for each segment: customers, last order, orders, revenue, action"}
    notices = [*_notices(taken, outlook, unread, assume_consent=assume_consent), *doubts]
    titles = {layout.preset: layout.title for layout in list_layouts()}
    for tool in MAIL_TOOLS:
        path = folder / f"{tool}.csv"
        if listed:
            rows = shape_mail_import(outlook.audience.frame, tool, as_of=outlook.as_of.isoformat())
            write_frame(rows, path, private=True)
            files[path.name] = (
                f"import file for {titles[tool]}: {counted(listed, 'customer')} with their segment"
            )
        else:
            path.unlink(missing_ok=True)  # of an earlier look, when consent was assumed
    write_whole(folder / WORKBOOK, as_workbook(_sheets(outlook), WORKBOOK), private=True)
    taken.mapping.save(folder / MAPPING)
    files[MAPPING] = "how your file was read; pass it with --mapping next time"
    understood = understand(taken.mapping, taken)
    said = understood.split("\n")
    compared = [line for line in said if line.startswith(("Rows left out: ", "Compare: "))]
    read = " ".join(line for line in said if line not in compared)
    page = write_whole(
        folder / PAGE,
        write_outlook_page(
            outlook, source=name, files=files, notices=notices,
            compared=compared, basis=_basis(outlook, read), is_net=_has_returns(taken),
        ),
    )  # fmt: skip
    paths = (page, *(folder / file for file in files))
    return Start(folder, page, paths, outlook, understood, tuple(notices))


def _has_returns(taken: Intake) -> bool:
    """Return whether sums given back are known: on lines of their own, or as refunds."""
    part = taken.mapping.tables["orders"]
    is_stated = "refund" in {*part.columns, *part.constants}
    return taken.orders is not None and (is_stated or bool(taken.orders["is_return"].any()))


def _sheets(outlook: Outlook) -> dict[str, pl.DataFrame]:
    """Return a summary, and the customers of each segment."""
    shares = ("customer_share", "revenue_share", "orders_per_customer")
    summary = outlook.segments.select(
        "segment", "customers", "customer_share", "revenue", "revenue_share",
        "orders_per_customer", "recency_days", "listed", "description", "action",
    ).with_columns(
        *(outlook.segments[share].round(4) for share in shares),
        outlook.segments["revenue"].round(2),
    )  # fmt: skip
    sheets = {"Summary": summary.rename(lambda column: column.replace("_", " ").capitalize())}
    people = outlook.customers.with_columns(outlook.customers["revenue"].round(2))
    if not outlook.has_addresses:
        people = people.drop("email")
    headings = {column: HEADINGS[column] for column in people.columns}
    for segment in outlook.segments["segment"]:
        part = people.filter(people["segment"] == segment)
        sheets[segment] = part.rename(headings)
    return sheets


def _notices(
    taken: Intake, outlook: Outlook, unread: Sequence[Finding], *, assume_consent: bool
) -> list[str]:
    """Say what is missing: many lines, import files, or recorded consent behind them."""
    listed, unknown = outlook.audience.frame.height, outlook.unrecorded
    text = ""
    if not outlook.has_addresses:
        text = (
            "The data hold no e-mail addresses, so no import files were written; the workbook "
            "lists customers by their id."
        )
    elif unread:
        text = " ".join(
            f"{one.finding} Pass {' or '.join(as_options(one.answer))}." for one in unread
        )
    elif assume_consent and "is not recorded" in outlook.audience.consent:
        text = (
            "Customers whose consent to marketing is not recorded are on the lists, as you asked: "
            f"{outlook.audience.consent.partition('; ')[0]}. Who refused is on no list."
        )
    elif unknown and not listed:
        text = (
            f"The data do not say who agreed to marketing ({counted(unknown, 'customer')}), so no "
            "import files were written. If your mail tool keeps consent itself, as Klaviyo and "
            "Mailchimp do, run again with --assume-consent: only customers who refused are then "
            "left out."
        )
    lost = _unused_lines(taken)
    few = ""
    if outlook.customers.height < LEAST_CUSTOMERS:
        few = (
            f"There are only {counted(outlook.customers.height, 'customer')}: a segment is a few "
            f"people each, and says little below {LEAST_CUSTOMERS} customers."
        )
    return [notice for notice in (few, lost, text) if notice]


def _doubts(findings: Sequence[Finding]) -> list[str]:
    """Say what could make other people or orders of the file than were read."""
    text = " ".join(
        one.finding
        for one in findings
        if one.severity == "warn"
        and (one.column in {"customer_id", "order_id", "refund", "discount"} or one.kind == "void")
        and ": rejected (" not in one.finding
    )
    return [f"To look at (segkit check says how to change it): {text}"] if text else []


def _unused_lines(taken: Intake) -> str:
    """Say why lines with sales are left out, where many are, and which lines hold no sale."""
    used, reasons = taken.ledger.kept_share("orders"), taken.ledger.reasons()
    if used >= MOST_USED:
        return ""
    kept = sum(reasons.values()) * used / (1 - used)
    lost = {reason: rows for reason, rows in reasons.items() if reason not in NO_SALES}
    others = [
        f"{NO_SALES[reason]} {number(reasons[reason])}" for reason in {*NO_SALES} & {*reasons}
    ]
    said = (
        f" Further lines hold no sale of their own: {', '.join(sorted(others))}." if others else ""
    )
    share = kept / (kept + sum(lost.values()))
    if share >= MOST_USED:
        return said.replace("Further", f"{percent(1 - used, places=0)} of the", 1).strip()
    steps = [step for step in taken.ledger.steps if step.table == "orders"]
    worth = {item.reason: item.money for step in steps for item in step.rejected}
    sums = {reason: f" ({money(float(worth[reason] or 0))})" if "customer" in reason else ""
            for reason in lost}  # fmt: skip
    rows = ", ".join(
        f"{reason.replace('_', ' ')} {number(lost[reason])}{sums[reason]}"
        for reason in sorted(lost, key=lambda reason: -lost[reason])[:MOST_REASONS]
    )
    lines = "lines with sales" if others else "lines of your file"
    return f"Only {percent(share, places=0)} of the {lines} are used: {rows}.{said}"


def _basis(outlook: Outlook, read: str) -> list[str]:
    """Say what was read and rejected, and what the segments rest on."""
    alone = counted(outlook.unscored, "person", "people")
    rests = f"{alone} with returns alone are in no segment. " if outlook.unscored else ""
    rests += (
        "Segments score recency, number of orders and spend of each customer against your other "
        f"customers (RFM, fifths), as of {outlook.as_of}, the last day with an order: they rank "
        f"{counted(outlook.customers.height, 'customer')} and do not predict. The suggested "
        "actions follow from these ranks alone, for nothing was measured: what they earn, only a "
        "test against customers held back can tell."
    )
    counts = outlook.audience.counts.filter(
        pl.col("reason").is_not_null() & (pl.col("customers") > 0)
    )
    out = "; ".join(
        f"{number(row['customers'])} {row['description']}" for row in counts.iter_rows(named=True)
    )
    lists = (
        f"{number(outlook.audience.frame.height)} of "
        f"{counted(outlook.customers.height, 'customer')} are on the import files"
    )
    lists += f"; left out: {out}." if out else "."
    return [read, *([lists] if outlook.has_addresses else []), rests]
