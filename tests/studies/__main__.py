"""Run every simulation study: in full, or with ``--thin`` a slice of each."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Run the studies one after the other; the exit code is the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="a few seeds, no table rewritten")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    failed = 0
    for path in sorted(FOLDER.glob("study_*.py")):
        command = [sys.executable, "-m", f"tests.studies.{path.stem}", "--jobs", str(options.jobs)]
        started = time.perf_counter()
        done = subprocess.run([*command, *(["--thin"] if options.thin else [])], check=False)
        failed += done.returncode != 0
        print(
            f"{path.stem}: exit {done.returncode}, {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
