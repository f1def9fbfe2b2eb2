"""Run in a process with a display of its own by ``test_window``: shows results and says what became of them.

Arguments: folder for snapshots; how many results to show at most.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rtface.sinks.window import open as open_window
from rtface.sinks.window import unavailable
from tests.sinks.results import ADA, picture, result, track


def main(folder: Path, most: int) -> None:
    assert unavailable() is None, unavailable()
    window = open_window(folder=folder)
    for index in range(most):
        if not window.write(result(index, track(1, ADA), image=picture(90, (320, 240)), source="door")):
            print("stopped", flush=True)
            break
        print("shown", flush=True)
        sys.stdin.readline()  # the test sets the pace
    window.close()
    window.close()


main(Path(sys.argv[1]), int(sys.argv[2]))
