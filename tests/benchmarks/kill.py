"""A gallery's process killed again and again in the middle of a change, on a disk, and held against the account.

    python -m tests.benchmarks.kill --kills 1000

Prints how often which change was under way at the kill, and how often it was then done or undone. Ends with an error at
the first acknowledged change that is lost, half a person, difference of index and truth, or trace of somebody removed.
"""

import argparse
import tempfile
from pathlib import Path

from tests.gallery.killing import Account, kill_once, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="other changes and moments")
    parser.add_argument("--folder", type=Path, help="where the gallery is made; the file system counts")
    options = parser.parse_args()
    account = Account()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for kill in range(options.kills):
            kill_once(Path(folder) / "g.db", account, options.seed + kill)
            if kill % 100 == 99 or kill == options.kills - 1:
                print(f"after {kill + 1:,} kills\n{table(account)}\n", flush=True)


if __name__ == "__main__":
    main()
