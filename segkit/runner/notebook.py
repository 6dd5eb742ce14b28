"""Reading, writing and showing in a notebook that belongs to a run."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import quote

import polars as pl

from segkit.display import counted, paragraphs, row_units, table_html
from segkit.errors import ParameterError, RunError, require_choice, unknown
from segkit.frames import takes_frames
from segkit.intake.privacy import (
    mask_column,
    mask_html,
    mask_text,
    personal_columns,
    private_root,
    settle_private,
)
from segkit.plot.vector import NARROW, to_element, to_file
from segkit.result import Result, decode, encode
from segkit.runner import manifest as disk
from segkit.runner.catalog import Context, check_level, worst_quality
from segkit.runner.manifest import NAME, StagedFolder
from segkit.runner.workspace import load_raw
from segkit.writing import relative_path, write_frame, write_whole

if TYPE_CHECKING:
    from segkit.intake import Intake
    from segkit.plot import Figure


KeyUnit = Literal["count", "share", "money", "lift"]
KEY_UNITS: tuple[KeyUnit, ...] = get_args(KeyUnit)
CSV_ROWS = 200_000  # a longer table is saved as Parquet
CSV_DIGITS = 6
BOTH_FORMS = "SEGKIT_BOTH_FORMS"  # environment: figures get their narrow form, for slides too
LEFT_OUT = "segkit-left-out"  # class of the sentence in place of a cell; reports drop the cell


class NotebookRun:
    """A notebook's access to its run: parameters, inputs, outputs; made by `open_notebook`.

    Attributes
    ----------
    settings : dict
        All parameters.
    source : str
        The source's name.
    data, mapping : pathlib.Path or None
        The user's files, found from the working folder.
    currency : str or None
        The reporting currency, where the notebooks upstream know it.
    as_of : datetime.date or None
        The analysis date: the one given, else the one that the notebooks upstream settled on.
    """

    def __init__(self, context: Context, *, personal: bool = False, alone: bool = False) -> None:
        self._context = context
        self._personal = personal
        self._aside = StagedFolder(Path(context.run_folder), context.stem) if alone else None
        self._folder = self._aside.path if self._aside else Path(context.folder)
        self._final = Path(context.run_folder) / context.stem
        self._started = datetime.now().astimezone()
        self._open = True
        self._shown: list[Result] = []  # results whose text has been shown
        self._names: dict[str, str] = {}  # of segments and survey items, by their ids
        before = [disk.read_json(Path(path)) for path in context.summaries]
        inherited: dict[str, Any] = dict.fromkeys(("period", "as_of", "currency"))
        inherited["rows"] = {}
        for summary in before:
            inherited |= {key: summary[key] for key in inherited if summary.get(key)}
        self._summary: dict[str, Any] = {
            "notebook": context.stem,
            "title": context.title,
            "question": context.question,
            "headline": "",
            "answers": [],
            "key_figures": [],
            "skips": [],
            "quality": worst_quality(before),
            **inherited,
            "tables": [],
            "figures": [],
            "settings": context.settings,
        }
        if personal:  # the renderer does not change it
            self._summary["personal"] = True
        self.settings = dict(context.settings)
        self.currency: str | None = inherited["currency"]
        self.source = str(context.settings.get("source", ""))
        self.data = self._path_of("data")
        self.mapping = self._path_of("mapping")
        text = str(context.settings.get("as_of", ""))
        day = inherited["as_of"]
        inherited_day = date.fromisoformat(day) if day else None
        try:
            self.as_of = date.fromisoformat(text) if text else inherited_day
        except ValueError as error:
            message = f"parameter 'as_of' expects a date such as 2024-01-31, got {text!r}"
            raise ParameterError(message) from error
        if self.as_of:
            self._summary["as_of"] = self.as_of.isoformat()

    def _path_of(self, name: str) -> Path | None:
        value = str(self._context.settings.get(name, ""))
        return Path(self._context.home) / value if value else None

    def load(self) -> Any:
        """Return what `segkit.clean_data` takes: the named source, or the path of the user's data.

        It is None where the mapping itself names files or a database.
        """
        loaded = load_raw(self.source, self.data, self.settings)
        mapping = getattr(loaded, "mapping", None)
        if mapping is not None and self.currency is None:  # no notebook before has told it
            self.describe(currency=mapping.options.get("currency"))
        return loaded

    # Reading -------------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Return whether an input of this notebook was written by an earlier notebook."""
        if name not in self._context.reads and name not in self._context.absent:
            names = [*self._context.reads, *self._context.absent]
            raise RunError(unknown("name among this notebook's reads", name, names))
        return name in self._context.reads

    def declared_reads(self) -> dict[str, str | None]:
        """Return each name that this notebook reads, with the reason where it was left out."""
        return {**dict.fromkeys(self._context.reads), **self._context.absent}

    def read_path(self, name: str) -> Path:
        """Return the file or folder that another notebook wrote under a name.

        Raises
        ------
        RunError
            If the name is not among this notebook's reads, or was left out, with the reason.
        """
        if not self.has(name):
            raise RunError(f"{name!r} was left out upstream: {self._context.absent[name]}")
        return Path(self._context.reads[name])

    def read(self, name: str) -> pl.DataFrame:
        """Return the frame that another notebook wrote under a name."""
        return pl.read_parquet(self.read_path(name))

    def read_customers(self, name: str) -> tuple[pl.DataFrame, list[str]]:
        """Return the customer table and, for a source with only a survey, its items.

        Such a source has respondents and their answers in the customer table's place.
        """
        if self.has(name):
            return self.read(name), []
        from segkit.pipeline import build_answer_table

        return build_answer_table(self.load())

    def read_json(self, name: str) -> Any:
        """Return the object (values, or a result) that another notebook wrote under a name."""
        return decode(json.loads(self.read_path(name).read_text(encoding="utf-8")))

    def summaries(self) -> list[dict[str, Any]]:
        """Return the summaries (headline, answers, …) of the notebooks directly upstream."""
        return [disk.read_json(Path(path)) for path in self._context.summaries]

    # Writing -------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """Return the path for a promised file or folder in any other format."""
        self._check_promised(name)
        return self._folder / "data" / name

    @takes_frames
    def write(self, name: str, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Write a promised frame, as Parquet, for later notebooks."""
        self._check_promised(name)
        eager = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
        if not isinstance(eager, pl.DataFrame):
            raise ParameterError(f"write({name!r}) expects a polars frame, got {type(frame)}")
        write_frame(eager, self._folder / "data" / f"{name}.parquet", private=True)

    def write_json(self, name: str, value: Mapping[str, Any] | Result) -> None:
        """Write a promised object or result, as JSON, for later notebooks."""
        self._check_promised(name)
        disk.write_json(self._folder / "data" / f"{name}.json", encode(value))

    def save(self, name: str, taken: Intake) -> None:
        """Write a promised intake for later notebooks; its raw rows and rejects lie elsewhere.

        They are kept out of the reports, in the folder that the parameter ``private`` or the
        variable ``SEGKIT_PRIVATE`` names, else in ``private`` beside the folder of the reports.
        """
        root = private_root(Path(self._context.home), str(self.settings.get("private", "")))
        taken.save(self.path(name), private=root, owner=Path(self._context.run_folder))

    def _check_promised(self, name: str) -> None:
        self._check_open()
        require_choice("name among this notebook's writes", name, self._context.writes, RunError)

    def _check_open(self) -> None:
        if not self._open:
            raise RunError("this notebook is finished; run its first cell again to go on")

    # Showing -------------------------------------------------------------------------------

    @takes_frames
    def table(
        self,
        what: Result | pl.DataFrame,
        name: str,
        *,
        caption: str = "",
        columns: str | Sequence[str] | None = None,
        headings: Mapping[str, str] | None = None,
        max_rows: int = 30,
    ) -> None:
        """Show a table, or some columns of it; save it whole as ``tables/<name>.csv``, linked.

        A result's text stands above the first of its tables and figures. Columns may be named in
        one text, with blanks between them.
        """
        self._check_open()
        self._lead(what)
        frame, note = fit_to_show(what, name, personal=self._personal)
        path = save_table(self._folder, frame, name)
        self._summary["tables"].append(path)
        wanted = columns.split() if isinstance(columns, str) else columns
        if wanted is not None:
            # Columns left out as personal, which the note names, are passed over.
            whole = (what.to_frame() if isinstance(what, Result) else what).columns
            wanted = [one for one in wanted if one in frame.columns or one not in whole]
        part = self._name_rows(frame, frame if not wanted else frame.select(wanted))
        shown = table_html(
            part,
            caption=caption,
            headings=headings,
            max_rows=max_rows,
            currency=self.currency,
            units=row_units(frame),
        )
        self._show(shown + self._link(path, f"Table ({path.rsplit('.')[-1]})") + note)

    def _name_rows(self, frame: pl.DataFrame, part: pl.DataFrame) -> pl.DataFrame:
        """Write the names of segments and survey items for their ids, once a table has them."""
        for pair in (("segment", "segment_name"), ("item", "label")):
            if set(pair) <= set(frame.columns):
                named = frame.select(pl.col(pair).cast(pl.String)).drop_nulls()
                self._names |= dict(named.iter_rows())
                part = part.drop(pair[0], strict=False) if pair[1] in part.columns else part
        ids = [name for name in ("segment", "level", "item") if part.schema.get(name) == pl.String]
        return part.with_columns(pl.col(ids).replace(self._names))

    def figure(self, what: Figure | Result, name: str) -> None:
        """Show a figure with its alternative text; save it as SVG, and its data as CSV.

        A result's text stands above the first of its tables and figures.
        """
        self._check_open()
        self._lead(what)
        figure: Figure = what.plot() if isinstance(what, Result) else what  # type: ignore[attr-defined]
        frame, note = fit_to_show(figure.data, name, personal=self._personal)
        path = save_table(self._folder, frame, name)
        alt = self._fit(figure.alt)
        shown = replace(figure, alt=alt)
        # Drawn once, for the file and for the page; narrow for phones, which read reports alone.
        narrow = self._aside is None or BOTH_FORMS in os.environ
        both = [shown.svg(), shown.narrow_svg() if narrow else ""]
        if not self._personal:
            both = [mask_html(one) for one in both]
        for svg, ending in zip(both, ("", NARROW), strict=True):
            if svg:
                write_whole(self._folder / "figures" / f"{name}{ending}.svg", to_file(svg))
        self._summary["figures"].append({"path": f"figures/{name}.svg", "alt": alt})
        self._show(to_element(*both) + self._link(path, "Data of the figure (csv)") + note)

    def _lead(self, what: object) -> None:
        """Show the text of a result that has not been shown."""
        if isinstance(what, Result) and not any(what is one for one in self._shown):
            self.say(what)

    def say(self, what: Result | str) -> None:
        """Show a sentence: the text of a result, or one composed from results."""
        if isinstance(what, Result):
            self._shown.append(what)
        text = self._fit(what.text if isinstance(what, Result) else what)
        self._show(paragraphs(text))

    def show(self, what: Result) -> None:
        """Show a result: its text, and its table or cards."""
        self._show(as_html(what, personal=self._personal))

    def headline(self, what: Result | str) -> None:
        """Set the finding that the index shows for this notebook."""
        self._check_open()
        self._summary["headline"] = self._fit(what.headline if isinstance(what, Result) else what)

    def answer(self, question: str, answer: Result | str, evidence: str = "") -> None:
        """Add a row to the table of answers, shown at the report's top.

        Evidence is the name of a table or figure of this notebook, or ``notebook/name``; the
        report links to its data.
        """
        self._check_open()
        text = self._fit(answer.answer if isinstance(answer, Result) else answer)
        stem, _, name = evidence.rpartition("/")
        folder = Path(self._context.run_folder) / stem if stem else self._folder
        files = (folder / "tables" / f"{name}.{ending}" for ending in ("csv", "parquet"))
        file = next((file for file in files if file.is_file()), None)
        link = f"{stem or self._context.stem}/tables/{file.name}" if file else ""
        row = {"question": question, "answer": text, "evidence": evidence, "link": link}
        answers = [old for old in self._summary["answers"] if old["question"] != question]
        self._summary["answers"] = [*answers, row]

    def key_figure(
        self,
        name: str,
        value: float | None,
        *,
        unit: KeyUnit = "count",
        interval: tuple[float | None, float | None] = (None, None),
        change: tuple[float | None, float | None, float | None] = (None, None, None),
        note: str = "",
        evidence: str = "",
    ) -> None:
        """Set a figure that the run's first page shows; without a value it shows none.

        Parameters
        ----------
        name : str
            What it is: "revenue of the last 365 days".
        value : float or None
        unit : {"count", "share", "money", "lift"}
            How it is written; a lift is a relative difference, as a share of one.
        interval : (float, float), optional
            Limits of its 95% confidence interval.
        change : (float, float, float), optional
            Relative change since the year before, with its limits, as shares of one.
        note : str
            What it is compared with.
        evidence : str
            The name of a table or figure of this notebook.
        """
        self._check_open()
        require_choice("unit", unit, KEY_UNITS)
        row: dict[str, Any] = {"name": name, "value": value, "unit": unit}
        row |= {"interval": list(interval), "change": list(change), "note": self._fit(note)}
        row |= {"evidence": f"{self._context.stem}/{evidence}" if evidence else ""}
        others = [old for old in self._summary["key_figures"] if old["name"] != name]
        self._summary["key_figures"] = [*others, row]

    def repeat_answers(self, chosen: Mapping[str, Sequence[str]]) -> None:
        """Repeat answers of notebooks upstream: of each notebook, those to some questions."""
        answers = {one["notebook"]: one["answers"] for one in self.summaries()}
        for stem, questions in chosen.items():
            for row in answers.get(stem, []):
                if row["question"] in questions:
                    self.answer(row["question"], row["answer"], f"{stem}/{row['evidence']}")

    def skip(self, what: str, why: str) -> None:
        """Record that a part, or a promised output, is left out, with the reason."""
        why = self._note_skip(what, why)
        shown = html.escape(f"{what.replace('_', ' ')}: {why}")
        self._show(f'<p class="segkit-skip"><em>Skipped:</em> {shown}</p>')

    def leave_out(self, what: str, why: str, *, written: Iterable[str] = ()) -> None:
        """Record that a cell is skipped for a missing input; the report omits the cell.

        Outputs that the cell would have ``written`` for later notebooks count as skipped.
        """
        from IPython.display import display

        done = {path.name.split(".")[0] for path in (self._folder / "data").glob("*")}
        promised = sorted((set(self._context.writes) & set(written)) - done)
        for name in promised or [what]:
            if name:  # else an earlier cell has named what is absent
                self._note_skip(name, why, wanted=name not in self._context.unwanted)
        why = self._fit(why)
        shown = f'<p class="segkit-skip {LEFT_OUT}"><em>Left out:</em> {html.escape(why)}</p>'
        shows = {"text/html": shown, "text/plain": f"Left out: {why}"}
        display(shows, raw=True)  # type: ignore[no-untyped-call]

    def _note_skip(self, what: str, why: str, *, wanted: bool = True) -> str:
        """Note what is left out; reports do not mention what the run's parameters switch off."""
        self._check_open()
        why = self._fit(why)
        skips = [old for old in self._summary["skips"] if old["what"] != what]
        row = {"what": what, "why": why} | ({} if wanted else {"wanted": False})
        self._summary["skips"] = [*skips, row]
        return why

    def quality(self, level: str, text: str) -> None:
        """Set the data quality (good, attention, poor) that every later report shows."""
        self._summary["quality"] = {"level": check_level(level), "text": self._fit(text)}

    def worsen_quality(self, level: str, text: str) -> None:
        """Set the data quality only if it is poor; otherwise keep the audit's."""
        if check_level(level) == "poor":
            self.quality(level, text)

    def describe(
        self,
        *,
        period: tuple[Any, Any] | None = None,
        as_of: Any = None,
        currency: str | None = None,
        **rows: int,
    ) -> None:
        """Set what the header says of the data: first and last day, as-of, currency, row counts."""
        if currency:
            self.currency = self._summary["currency"] = currency
        if period:
            self._summary["period"] = [str(day)[:10] for day in period]
        if as_of:
            self._summary["as_of"] = str(as_of)[:10]
        if rows:
            self._summary["rows"] = {**self._summary["rows"], **rows}

    def _fit(self, text: str) -> str:
        """Mask personal data in a text."""
        return text if self._personal else mask_text(text)

    def _link(self, path: str, text: str) -> str:
        target = path
        if self._aside:  # in JupyterLab links start at the notebook, not at its report
            target = relative_path(self._final / path, Path.cwd())
        return f'<p class="segkit-link"><a href="{quote(Path(target).as_posix())}">{text}</a></p>'

    def _show(self, shown: str) -> None:
        from IPython.display import HTML, display

        display(HTML(shown))  # type: ignore[no-untyped-call]

    # Ending --------------------------------------------------------------------------------

    def finish(self) -> None:
        """Check that all promises are kept, and write ``summary.json``; the last call.

        Raises
        ------
        RunError
            If a promised output was neither written nor skipped.
        """
        self._check_open()
        skipped = {skip["what"] for skip in self._summary["skips"]}
        written = {path.name.split(".")[0] for path in (self._folder / "data").iterdir()}
        missing = [name for name in self._context.writes if name not in skipped | written]
        if missing:
            raise RunError(
                f"{self._context.stem} promised {', '.join(missing)}: write it, or say "
                "run.skip(name, why)"
            )
        disk.write_json(self._folder / "summary.json", self._summary)
        self._open = False
        if self._aside:
            self._finish_alone(self._aside)

    def _finish_alone(self, aside: StagedFolder) -> None:
        manifest = _interactive_manifest(self._context, self._started)
        manifest |= {"outputs": disk.list_outputs(self._folder), "versions": disk.versions()}
        disk.write_json(self._folder / NAME, manifest)
        run_folder = Path(self._context.run_folder)
        with disk.locked(run_folder):
            aside.commit()
        chosen = str(self.settings.get("private", ""))
        settle_private(private_root(Path(self._context.home), chosen), run_folder)
        rows = self._summary["answers"]
        if rows:
            self._show(table_html(pl.DataFrame(rows).drop("link"), caption="Answers"))
        shown = html.escape(relative_path(self._final, Path.cwd()))
        self._show(f"<p><small>Written to {shown}.</small></p>")


def without_personal(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str], dict[str, int]]:
    """Return a frame fit to be shown, the columns left out, and masked cells by column.

    Columns whose name says that they are personal are left out; e-mail addresses, phone, card and
    account numbers in any other column of texts are masked (`segkit.intake.privacy.mask_column`),
    in the names of columns too.

    Examples
    --------
    >>> frame = pl.DataFrame({"who": ["ann@shop.example", "Bob"], "email": ["a@b.org", None]})
    >>> shown, left_out, masked = without_personal(frame)
    >>> shown["who"].to_list(), left_out, masked
    (['an…@…', 'Bob'], ['email'], {'who': 1})
    """
    left_out = personal_columns(frame.columns)
    shown = frame.drop(left_out)
    masked: dict[str, int] = {}
    for name, kind in shown.schema.items():
        if kind not in (pl.String, pl.Categorical, pl.Enum):
            continue
        cells, count = mask_column(shown[name].cast(pl.String))
        if count:
            shown, masked[name] = shown.with_columns(cells.alias(name)), count
    named = {name: mask_text(name) for name in shown.columns}
    renamed = {name: new for name, new in named.items() if new != name}
    if renamed and len(set(named.values())) == len(named):
        shown = shown.rename(renamed)
    return shown, left_out, masked


def fit_to_show(what: Any, name: str, *, personal: bool) -> tuple[pl.DataFrame, str]:
    """Return a frame fit to be shown, and a note (HTML) on what was left out or masked.

    Raises
    ------
    ParameterError
        If it is neither a result nor a polars frame.
    RunError
        If nothing but personal columns is left.
    """
    frame = what.to_frame() if isinstance(what, Result) else what
    if not isinstance(frame, pl.DataFrame):
        raise ParameterError(
            f"{name!r} expects a result or a polars frame, got a {type(what).__name__}"
        )
    if personal:
        return frame, ""
    shown, dropped, masked = without_personal(frame)
    if frame.width and not shown.width:
        raise RunError(f"table {name!r} holds nothing but personal columns: {', '.join(dropped)}")
    notes = []
    if dropped:
        notes.append(f"Left out as personal: {', '.join(dropped)}.")
    if masked:
        cells = sum(masked.values())
        where = ", ".join(map(mask_text, masked))
        notes.append(f"{counted(cells, 'cell')} with personal data masked, in {where}.")
    text = html.escape(" ".join(notes))
    return shown, f"<p><small>{text}</small></p>" if notes else ""


def as_html(what: Result | pl.DataFrame, *, personal: bool = False) -> str:
    """Return a result in its own form, or a frame as a table, without personal columns."""
    frame, note = fit_to_show(what, "shown", personal=personal)
    if isinstance(what, Result) and not note:
        shown = what._repr_html_()
        return shown if personal else mask_html(shown)
    words = paragraphs(mask_text(what.text)) if isinstance(what, Result) else ""
    return words + table_html(frame) + note


def guard_displays(*, personal: bool) -> None:
    """Hide personal columns in frames and results that a cell displays.

    Changes how IPython shows polars frames and segkit's results in this kernel; ``print`` is
    not covered.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell.display_formatter is None or personal:
        return

    def written(what: Any, printer: Any, cycle: bool) -> None:  # noqa: ARG001 - IPython's terms
        text = isinstance(what, Result)
        shown = mask_text(what.text) if text else fit_to_show(what, "", personal=False)[0]
        printer.text(str(shown))

    for kind in (pl.DataFrame, Result):
        shell.display_formatter.formatters["text/html"].for_type(kind, as_html)
        shell.display_formatter.formatters["text/plain"].for_type(kind, written)


def save_table(folder: Path, frame: pl.DataFrame, name: str) -> str:
    """Save a frame as CSV (a very long one as Parquet) and return its path within the folder.

    The CSV is for readers: its floats are rounded to `CSV_DIGITS` significant figures. What
    later notebooks read is written by `NotebookRun.write`, exactly.
    """
    if frame.height > CSV_ROWS:
        write_frame(frame, folder / "tables" / f"{name}.parquet")
        return f"tables/{name}.parquet"
    nested = [column for column, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.Series(column, [None if v is None else str(v) for v in frame[column].to_list()])
        for column in nested
    )
    flat = flat.with_columns(pl.col(pl.Float32, pl.Float64).round_sig_figs(CSV_DIGITS))
    write_frame(flat, folder / "tables" / f"{name}.csv")
    return f"tables/{name}.csv"


def _interactive_manifest(context: Context, started: datetime) -> dict[str, Any]:
    """Return the manifest of a notebook run by hand; without a key no run reuses it."""
    finished = datetime.now(UTC)
    before = disk.read_json(Path(context.run_folder) / context.stem / NAME)
    return {
        "notebook": context.stem,
        "title": context.title,
        "question": context.question,
        "status": "interactive",
        "error": None,
        "key": "",
        "parameters": context.settings,
        "inputs": disk.data_inputs(context.settings, Path(context.home)),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "previous": before.get("previous"),
    }
