"""Half an hour at a camera's pace: memory flat, and no thread or open file more at the end than after a minute.

    python tests/benchmarks/endurance.py [--minutes 30] [--paced 30] [--faces 1] [--cameras 1] [--size 640x480]
                                         [--source CLIP] [--plot endurance.png] [--set key=value]

Runs ``rtface bench`` in a process of its own. One JSON line: its report with ``failures``, a list of sentences.
Exit code 1 when there is one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

FLAT_MB = 20.0
"""By how much memory may differ from minute 1 at any later look."""


def words(wishes: argparse.Namespace) -> list[str]:
    """The command."""
    load = (
        ["--source", wishes.source]
        if wishes.source
        else ["--faces", str(wishes.faces), "--cameras", str(wishes.cameras), "--size", wishes.size]
    )
    settings = [word for setting in wishes.settings for word in ("--set", setting)]
    plot = ["--plot", wishes.plot] if wishes.plot else []
    pace = ["--paced", str(wishes.paced), "--seconds", str(60 * wishes.minutes)]
    return [sys.executable, "-m", "rtface", "bench", "--json", *load, *pace, *plot, *settings]


def failures(resources: dict[str, dict[str, Any]]) -> list[str]:
    """What grew between the first look (minute 1 of a run that long) and the last."""
    first, last, most = resources["first"], resources["last"], resources["most"]
    found = []
    for name, seen in (("at the end", last), ("at most", most)):
        if abs(seen["rss_mb"] - first["rss_mb"]) > FLAT_MB:
            found.append(f"memory: {first['rss_mb']} MB at {first['at']} s, {seen['rss_mb']} MB {name}")
    found += [
        f"{kind}: {first[kind]} at {first['at']} s, {last[kind]} at {last['at']} s"
        for kind in ("threads", "handles")
        if last[kind] > first[kind]
    ]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--paced", type=float, default=30)
    options.add_argument("--faces", type=int, default=1)
    options.add_argument("--cameras", type=int, default=1)
    options.add_argument("--size", default="640x480")
    options.add_argument("--source", help="a file instead of an invented crowd")
    options.add_argument("--plot", help="where to draw it")
    options.add_argument("--set", dest="settings", action="append", default=[])
    wishes = options.parse_args()
    ran = subprocess.run(words(wishes), stdout=subprocess.PIPE, text=True, check=True)
    report = json.loads(ran.stdout)
    report["failures"] = failures(report["resources"])
    print(json.dumps(report))
    sys.exit(1 if report["failures"] else 0)


if __name__ == "__main__":
    main()
