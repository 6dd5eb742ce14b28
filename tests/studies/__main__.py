"""Run every simulation study: in full, or with ``--thin`` a slice of each."""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).parent


def run_study(path: Path, words: list[str]) -> tuple[int, float, str]:
    """Run a study; return its exit code, its seconds, and what a slice of it said."""
    started = time.perf_counter()
    command = [sys.executable, "-m", f"tests.studies.{path.stem}", *words]
    thin = "--thin" in words  # slices would speak at once
    aside = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if thin else {}
    done = subprocess.run(command, check=False, text=True, **aside)
    return done.returncode, time.perf_counter() - started, done.stdout or ""


def main() -> int:
    """Run the studies one after the other; the exit code is the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--thin", action="store_true", help="a few seeds, no table rewritten")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    paths = sorted(FOLDER.glob("study_*.py"))
    # A slice is over before further processes have imported: whole slices go side by side instead.
    beside, within = (options.jobs, 1) if options.thin else (1, options.jobs)
    words = ["--jobs", str(within), *(["--thin"] if options.thin else [])]
    failed = 0
    with ThreadPoolExecutor(beside) as pool:
        for path, (code, seconds, said) in zip(
            paths, pool.map(lambda path: run_study(path, words), paths), strict=True
        ):
            failed += code != 0
            print(f"{said}{path.stem}: exit {code}, {seconds:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
