"""Seconds of the case study by notebook, cell and step, and its critical path.

``python -m tests.benchmarks.bench_case_study [--customers N] [--top N]``; ``--quick``: 600
customers. Each notebook's cells run in a plain Python process of its own, without a kernel, so that
what is printed is the analysis itself: a step is one statement of a cell. After them the whole
``segkit run`` is measured, with kernels and reports. Named notebooks (``05 07 --folder RUN``) are
profiled alone, on what RUN holds from before; ``--functions N`` prints cProfile's first N lines.
"""

import argparse
import ast
import contextlib
import cProfile
import io
import itertools
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from segkit.errors import DataError
from segkit.runner.catalog import CONTEXT, Catalog, build_context, notebook_folder
from segkit.runner.needs import FIRST, Needs, as_python

ME = "tests.benchmarks.bench_case_study"
CHOSEN = {"k": 0, "why": ""}
JOBS = 2


def spent():
    """Return the seconds of processor time of this process and of its ended children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


class Steps(ast.NodeTransformer):
    """Puts a mark before each statement of a cell, those within ``if`` and ``try`` too."""

    def marked(self, body):
        for node in body:
            if not isinstance(node, ast.If | ast.Try):
                text = ast.unparse(node).splitlines()[0]
                yield ast.parse(f"__mark__({text!r})").body[0]
            yield self.visit(node)

    def generic_visit(self, node):
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(node, ast.Module | ast.If | ast.Try | ast.ExceptHandler):
                inside = getattr(node, part, [])
                deeper = map(self.visit, inside) if part == "handlers" else self.marked(inside)
                setattr(node, part, list(deeper))
        return node


def run_cell(text, names, needs, where):
    """Run a cell unless an input is missing or, where the cell says so, data are too few."""
    first, *rest = lines = text.splitlines(keepends=True)
    if needs and needs.prepare(lines) == lines and first.startswith(FIRST):
        needs(first.removeprefix(FIRST), "".join(rest))
        return
    tree = ast.fix_missing_locations(Steps().visit(ast.parse(as_python(text))))
    try:
        exec(compile(tree, where, "exec"), names)  # noqa: S102
    except DataError as error:
        if needs is None:
            raise
        needs.refuse(error)  # raises it, unless the cell's first line names enough-data


def run_cells(path, settings, functions):
    """Run a notebook's cells; return its steps: text, cell, seconds, processor seconds."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    marks = [("Python and the runner's imports", 0, time.perf_counter() - spent(), 0.0)]
    number, needs = 0, None

    def mark(text):
        marks.append((text, number, time.perf_counter(), spent()))

    names = {"__name__": "__main__", "__mark__": mark}
    profile = cProfile.Profile() if functions else contextlib.nullcontext()
    with profile, contextlib.redirect_stdout(io.StringIO()):
        for number, cell in enumerate(cells, 1):
            if cell["cell_type"] != "code":
                continue
            text = "".join(cell["source"])
            if needs is None and "run" in names:
                needs = Needs(SimpleNamespace(user_ns=names), names["run"])
            run_cell(text, names, needs, f"{path.stem} cell {number}")
            if "parameters" in cell["metadata"].get("tags", []):
                names |= {name: settings[name] for name in settings if name in names}
            if "run.finish()" in text:
                break
    mark("")
    if functions:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(functions)
    return [
        (text, cell, after[2] - wall, after[3] - worked)
        for (text, cell, wall, worked), after in itertools.pairwise(marks)
    ]


def profile_notebook(catalog, stem, folder, customers, functions=0):
    """Run one notebook's cells in a process of its own; return its steps."""
    notebook = catalog.notebooks[stem]
    settings = {name: parameter.default for name, parameter in notebook.parameters.items()}
    settings |= {name: value for name, value in CHOSEN.items() if name in settings}
    settings |= {"customers": customers} if "customers" in settings else {}
    for part in ("data", "tables", "figures"):
        (folder / stem / part).mkdir(parents=True, exist_ok=True)
    context = build_context(catalog, notebook, folder, str(folder / stem), folder, settings)
    asked = {"path": str(notebook.path), "settings": settings, "functions": functions}
    given = folder / f"{stem}.context.json"
    given.write_text(json.dumps(context.to_json()), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", ME, "--cells", json.dumps(asked)],
        env={**os.environ, CONTEXT: str(given)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def critical_path(catalog, seconds):
    """Return the chain of notebooks, each reading the one before, that takes the longest."""
    chains = {}
    for stem in catalog.notebooks:
        before = [chains[other] for other in catalog.upstream(stem) if other in seconds]
        longest = max(before, key=lambda chain: chain[0], default=(0.0, []))
        chains[stem] = (longest[0] + seconds[stem], [*longest[1], stem])
    return max(chains.values())


def show_steps(stem, steps, top):
    """Print a notebook's dearest steps."""
    wall, worked = (sum(step[at] for step in steps) for at in (2, 3))
    print(f"\n{stem}: {worked:.1f} s of processor time ({wall:.1f} s on the clock)")
    for text, cell, _, took in sorted(steps, key=lambda step: -step[3])[:top]:
        if took >= 0.1:
            print(f"  {took:6.2f}  cell {cell:>2}  {text[:90]}")


def run_whole(folder, customers):
    """Run the case study as ``make case-study`` does, and print where its time went."""
    words = ["run", "--source", "simulated", "--out", str(folder), "--jobs", str(JOBS)]
    words += ["-p", f"customers={customers}"]
    words += [word for name, value in CHOSEN.items() for word in ("-p", f"{name}={value}")]
    wall, worked = time.perf_counter(), spent()
    code = "from segkit.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)
    wall, worked = time.perf_counter() - wall, spent() - worked
    catalog = Catalog.open(notebook_folder()).for_source("simulated").for_settings({})
    seconds = {}
    print(f"\n{'segkit run, notebook':<24} {'cells':>7} {'kernel':>7} {'report':>7}")
    for stem in catalog.notebooks:
        took = json.loads((folder / "simulated" / stem / "manifest.json").read_text())["seconds"]
        around = took["execution"] - took["cells"]
        print(f"{stem:<24} {took['cells']:7.1f} {around:7.1f} {took['rendering']:7.1f}")
        seconds[stem] = took["execution"] + took["rendering"]
    length, chain = critical_path(catalog, seconds)
    print(f"whole: {wall:.1f} s on the clock with {JOBS} jobs, {worked:.1f} s of processor time")
    print(f"critical path on the clock: {length:.1f} s: {', '.join(chain)}")
    return wall, worked, f"critical path {length:.0f} s: {', '.join(chain)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--top", type=int, default=8)
    parser.add_argument("--functions", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cells", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cells:
        asked = options.cells
        steps = run_cells(Path(asked["path"]), asked["settings"], asked["functions"])
        print(json.dumps(steps))
        return
    customers = 600 if options.quick else options.customers
    catalog = Catalog.open(notebook_folder()).for_source("simulated").for_settings({})
    stems = [catalog.find(word) for word in options.notebooks] or list(catalog.notebooks)
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place) / "profile"
        seconds = {}
        for stem in stems:
            steps = profile_notebook(catalog, stem, folder, customers, options.functions)
            show_steps(stem, steps, options.top)
            seconds[stem] = sum(step[3] for step in steps)
        if options.notebooks:
            return
        length, chain = critical_path(catalog, seconds)
        print(f"\nall cells: {sum(seconds.values()):.1f} s of processor time")
        print(f"critical path: {length:.1f} s of processor time: {', '.join(chain)}", flush=True)
        run_whole(Path(place) / "run", customers)


if __name__ == "__main__":
    main()
