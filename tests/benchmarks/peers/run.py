"""rtface and its peers on the same clips, alternating; prints Markdown tables, see README.md in this folder.

    python tests/benchmarks/peers/run.py --shared ../shared [--peers rtface_facenet,yunet_facenet] [--rounds 3]
        [--clips vga,six,stage] [--frames N] [--json out.json] [--venvs DIR] [--set key=value]

The first run makes a virtual environment for each peer and takes minutes; torch alone is 200 MB.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

TITLES = {
    "vga": "640x480, one to two faces (webcam clips)",
    "six": "1280x720, six faces (webcam clips side by side)",
    "stage": "1280x720, one to three faces (a concert film, enlarged twofold)",
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/videos and models")
    parser.add_argument("--peers", default="", help="adapters by name, with commas; all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", default=",".join(TITLES), help="groups of clips, with commas")
    parser.add_argument("--frames", type=int, help="at most so many frames of each clip")
    parser.add_argument("--json", type=Path, help="write all rounds there")
    parser.add_argument(
        "--venvs", type=Path, help="where the peers' environments are kept; the user's cache by default"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of rtface's")
    options = parser.parse_args()
    if options.rounds < 1 or (options.frames is not None and options.frames < 1):
        parser.error("--rounds and --frames must be at least 1")
    return options


def main() -> int:
    """Measures and prints; 1 when a peer failed."""
    sys.path.insert(0, str(ROOT))
    import platformdirs

    from rtface.config import parse_flags
    from rtface.errors import MissingLibrary, RtfaceError
    from tests.benchmarks.peers import clips, environments, table, weights
    from tests.benchmarks.peers.contest import Standing, contest

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    options = arguments()
    venvs = options.venvs or platformdirs.user_cache_path("rtface") / "peers"
    groups = options.clips.split(",")
    if unknown := set(groups) - set(TITLES):
        say(f"There are no clips {', '.join(sorted(unknown))}. Known: {', '.join(TITLES)}.")
        return 2
    failed = []
    try:
        peers = {}
        for name in options.peers.split(",") if options.peers else environments.names():
            adapter = environments.adapter(name)
            say(f"environment of {adapter.title}")
            try:
                peers[name] = adapter, environments.python_of(adapter, venvs.absolute())
            except MissingLibrary as error:
                failed.append(Standing(adapter, failure=str(error)))
        with tempfile.TemporaryDirectory(prefix="rtface-peers-") as place:
            files = weights.prepare(options.shared, Path(place))
            programme = clips.programme(options.shared, Path(place), groups)
            settings = parse_flags(tuple(options.set))
            standings = failed + contest(
                peers, programme, files, rounds=options.rounds, frames=options.frames, settings=settings, say=say
            )
    except RtfaceError as error:
        say(str(error))
        return 2
    command = shlex.join(["python", *sys.argv])
    print(f"{table.machine()}; commit {table.commit()}; `{command}`\n")
    print(table.markdown(standings, {group: TITLES[group] for group in groups}))
    if options.json:
        whole = {"machine": table.machine(), "commit": table.commit(), "command": command}
        options.json.write_text(json.dumps({**whole, "peers": table.document(standings)}, indent=1), encoding="utf-8")
    return int(any(standing.failure for standing in standings))


if __name__ == "__main__":
    sys.exit(main())
