"""Making of the golden copies: ``python -m tests.golden.make``, at a checkout of `MADE_FROM`.

This folder is copied into that checkout first; it takes half an hour. Where few tables change on
purpose, ``renames.toml`` says which; where most do, `keep_tables` keeps those of a new run, once
the run with and without the change have been compared.
"""

import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import SHARED
from tests.golden import ASKED, FOLDER
from tests.golden.tables import describe_run

DATA = {"online-retail": "online_retail_2010_2011.parquet", "hillstrom": "hillstrom_email.csv"}
SMALL = ("customers=100", "repeats=3", "references=19")
LEFT_OUT = (".html", ".png", ".svg", ".ipynb", ".log")


def segkit(folder, *words, settings=()):
    """Run ``segkit run`` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [word for setting in settings for word in ("-p", setting)]
    code = "from segkit.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "run", *words, *given], cwd=folder, check=True)


def make_tables(folder):
    """Run each source and write its tables in short."""
    for source, settings in ASKED.items():
        data = ["--data", str(SHARED / DATA[source])] if source in DATA else []
        segkit(folder / source, "--source", source, *data, settings=settings)
        keep_tables(folder / source / "reports" / source, source)


def keep_tables(run, source):
    """Write every table of a run folder in short."""
    text = json.dumps(describe_run(run), separators=(",", ":"))
    (FOLDER / f"{source}.json.xz").write_bytes(lzma.compress(text.encode()))


def make_results(folder):
    """Keep the smallest result of every class that the fast tests build."""
    words = ["-q", "-m", "not slow", "-p", "tests.golden.capture", "tests"]
    ignored = ["--ignore=tests/browser", "--ignore=tests/notebooks"]
    environment = os.environ | {"SEGKIT_GOLDEN": str(folder)}
    command = [sys.executable, "-m", "pytest", *words, *ignored]
    subprocess.run(command, env=environment, check=True)


def make_models(folder):
    """Save a model of every kind, its customers, and the scores that it gives them."""
    import segkit as sk
    from segkit.cluster import cluster_latent, cluster_mixed, cluster_mixture
    from tests.test_stored_models import ITEMS, customers

    frame = customers()
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_csv(folder / "customers.csv")
    mixed = {"numeric": ["x"], "categorical": ["c"], "ordinal": {"r": ["low", "high"]}}
    models = {
        "segments": sk.cluster_customers(frame, features=["x", "y"], k=3).model,
        "mixture": cluster_mixture(frame, features=["x", "y"], k=3, starts=1).model,
        "latent": cluster_latent(frame, items=ITEMS, k=2, starts=3).model,
        "mixed": cluster_mixed(frame, **mixed, asymmetric=["m"], k=3).model,
        "prototypes": cluster_mixed(frame, **mixed, k=3, method="prototypes").model,
        "factors": sk.fit_factors(frame, 1, [f"i{j}" for j in range(4)]),
    }
    for name, model in models.items():
        model.save(folder / f"{name}.json")
        scores = model.score(frame)
        scores = scores if name != "factors" else scores.to_frame()
        scores.write_csv(folder / f"{name}.scores.csv")


def pack(folder):
    """Write the archive of results, models and the working folder, alike for alike content."""

    def bare(entry):
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return None if entry.name.endswith(LEFT_OUT) else entry

    with tarfile.open(FOLDER / "golden.tar.xz", "w:xz", preset=9) as archive:
        for part in ("results", "models", "working"):
            archive.add(folder / part, part, filter=bare)


def main():
    """Make all of it."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        make_results(folder / "results")
        make_models(folder / "models")
        segkit(folder / "working", "06", "09", "--source", "simulated", settings=SMALL)
        make_tables(folder)
        own = folder / "simulated" / "reports" / "simulated" / "03_rfm_segments" / "data"
        for part in ("cuts", "rules"):
            shutil.copy(own / f"rfm_{part}.json", folder / "models" / f"{part}.json")
        pack(folder)


if __name__ == "__main__":
    main()
