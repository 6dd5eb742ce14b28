"""Commands of a first look: ``start``, ``new`` and ``check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument

from segkit.cli.terminal import GATE, ask_at_terminal, quoted, short_path
from segkit.errors import ParameterError


def start(
    data: Annotated[Path | None, Argument()] = None,
    demo: bool = False,
    out: Path | None = None,
    mapping: Path | None = None,
    answer: list[str] | None = None,
    yes: bool = False,
    assume_consent: bool = False,
    browser: bool = True,
) -> None:
    """Write one page, one workbook and mail lists about a shop's customers, in a minute.

    Parameters
    ----------
    data : Path | None
        Orders, or a folder of tables
    demo : bool
        Show a simulated retailer
    out : Path | None
        The folder to write
    mapping : Path | None
        The mapping of an earlier look
    answer : list[str] | None
        Answer to a question, as the question offers it; may be repeated
    yes : bool
        Ask nothing; stop at an open question
    assume_consent : bool
        List customers without recorded consent too
    browser : bool
        Open the page in the browser

    Examples
    --------
    segkit start orders.csv
    segkit start --demo
    segkit start orders.csv --answer "orders.day_first=true" --assume-consent
    """
    from segkit.start import start as start_shop

    if (data is None) != demo:
        raise ParameterError("give a file of orders (segkit start orders.csv), or --demo")
    attended = sys.stdin.isatty() and sys.stdout.isatty()
    made = start_shop(
        data,
        out=out,
        mapping=mapping,
        answers=answer or (),
        ask=ask_at_terminal if attended and not yes else None,
        assume_consent=assume_consent,
    )
    typer.echo(made.understood)
    typer.echo(made.outlook.text)
    for path in made.files:
        typer.echo(short_path(path))
    for notice in made.notices:
        typer.echo(notice)
    if browser and attended:
        typer.launch(str(made.page.resolve()))


def new(folder: Path, data: Path | None = None) -> None:
    """Lay out a working folder: mapping, parameters, notebooks, and what to do next.

    Parameters
    ----------
    folder : Path
        The working folder to make
    data : Path | None
        Your data file

    Examples
    --------
    segkit new shop --data orders.csv
    """
    from segkit.runner.workspace import lay_out

    for path in lay_out(folder, data):
        typer.echo(short_path(path))
    typer.echo(f"Next: look over {short_path(folder / 'README.md')}, then:")
    typer.echo(f"  cd {quoted(folder)}\n  segkit run")


def check(
    data: Path,
    mapping: Path | None = None,
    save: Path | None = None,
    preset: str | None = None,
    answer: list[str] | None = None,
) -> None:
    """Audit data: can they be used, what was found, and which mapping fits.

    Parameters
    ----------
    data : Path
        A data file, or a folder of tables
    mapping : Path | None
        A mapping to check the data by
    save : Path | None
        Where to write the proposed mapping
    preset : str | None
        Layout of the export, such as shopify; or none
    answer : list[str] | None
        Answer to a question, as the question offers it; may be repeated

    Examples
    --------
    segkit check shop.csv
    segkit check shop.csv --answer "orders.columns.amount=Net total" --save mapping.toml
    segkit check exports --preset shopify
    """
    from segkit.runner.workspace import audit_files

    audit = audit_files(data, mapping, preset, answer or ())
    typer.echo(str(audit))
    if audit.blocked:
        own = f" --mapping {quoted(mapping)}" if mapping else ""
        typer.echo(
            "\nGive the right answer of each question, or write it into a mapping file:\n"
            f'  segkit check {quoted(data)}{own} --answer "..." --save mapping.toml'
        )
    if save is not None:
        if save.exists():
            raise ParameterError(
                f"{save} exists and is kept: delete it, or give --save another name"
            )
        audit.save_mapping(save)
        after = "look it over, then: segkit run --data"
        if audit.blocked:
            after = "write the open answers into it, then: segkit check"
        typer.echo(f"Mapping written to {save}; {after} {quoted(data)} --mapping {quoted(save)}")
    if audit.blocked:
        raise typer.Exit(GATE)
