"""Comparison of two runs of one source, file by file: ``python -m tests.tools.twice``.

The simulated retailer goes through every notebook twice, in folders of their own, the second time
with notebooks side by side; every table, figure and data file is compared by its digest.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = {"tables", "figures", "data"}


def digests(folder):
    """Return the digest of each table, figure and data file of a run, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    wanted = (path for path in files if KINDS & set(path.relative_to(folder).parts[1:-1]))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in wanted
    }


def main():
    """Run twice, compare, and say what differs; the exit code tells whether anything does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    code = "from segkit.cli import main; main()"
    words = ["run", "--source", "simulated", "-p", f"customers={options.customers}", "-p", "k=5"]
    with tempfile.TemporaryDirectory() as place:
        found = []
        for turn, jobs in enumerate((1, options.jobs)):
            out = Path(place) / str(turn)
            more = ["--out", str(out), "--name", "run", "--jobs", str(jobs)]
            subprocess.run([sys.executable, "-c", code, *words, *more], check=True)
            found.append(digests(out / "run"))
    one, other = found
    differ = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    print(f"{len(one)} files; different: {', '.join(differ) or 'none'}")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
