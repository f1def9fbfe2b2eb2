"""A real RTSP server (GStreamer's) with test films, run by Debian's Python because only that one sees ``gi``.

::

    /usr/bin/python3 rtsp_server.py PORT [USER PASSWORD basic|digest]

Commands come as lines on stdin::

    film NAME PATH          an H.264 stream with access unit delimiters
    add MOUNT FILM FPS      rtsp://127.0.0.1:PORT/MOUNT, the film over and over
    play MOUNT FILM FPS     goes on with another film, beginning with its first picture
    freeze MOUNT            sends no more pictures; the connection stays
    thaw MOUNT              goes on
    drop all                throws every client out

On stdout: ``ready PORT``, ``done`` after each command, ``shown MOUNT NUMBER SECONDS`` for each picture at the moment it
goes to the network (``time.monotonic``, one clock for the whole machine), ``visit`` for each client.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found, unused-ignore]  # noqa: E402

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
LAUNCH = (
    f"( appsrc name=film is-live=true do-timestamp=true format=time caps={CAPS} "
    "! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)
DELIMITER = re.compile(rb"(?=\x00\x00\x00\x01\x09)")

say_lock = threading.Lock()


def say(*words: object) -> None:
    with say_lock:
        print(*words, flush=True)


class Mount:
    """One stream: plays its film to whoever is there."""

    def __init__(self, name: str, film: list[bytes], fps: float) -> None:
        self.name = name
        self.change = threading.Condition()
        self.film, self.fps, self.frozen = film, fps, False
        self.number = 0
        self.source: Any = None
        threading.Thread(target=self.play, daemon=True).start()

    def configure(self, _factory: object, media: Any) -> None:
        """A first visitor has come: a new pipeline."""
        media.get_element().get_by_name_recurse_up("film").connect("need-data", self.begin)

    def begin(self, source: Any, _bytes: int) -> None:
        """The pipeline is ready, not before; it has to begin with a key frame."""
        with self.change:
            if self.source is not source:
                self.source, self.number = source, 0
                self.change.notify()

    def play(self) -> None:
        due = time.monotonic()
        while True:
            with self.change:
                self.change.wait_for(lambda: self.source is not None and not self.frozen)
                number, film, source, period = self.number, self.film, self.source, 1 / self.fps
                self.number = (number + 1) % len(film)
            due = max(due + period, time.monotonic() - period)
            time.sleep(max(due - time.monotonic(), 0.0))
            say("shown", self.name, number, time.monotonic())
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(film[number])) != Gst.FlowReturn.OK:
                with self.change:  # the last visitor has left
                    self.source = None if self.source is source else self.source


def protect(server: Any, user: str, password: str, method: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", user)
    if method == "digest":
        auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def serve(port: str, *credentials: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if credentials:
        protect(server, *credentials)
    server.connect("client-connected", lambda *_: say("visit"))
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    threading.Thread(target=obey, args=(server, credentials), daemon=True).start()
    say("ready", server.get_bound_port())
    GLib.MainLoop().run()


def obey(server: Any, credentials: tuple[str, ...]) -> None:
    films: dict[str, list[bytes]] = {}
    mounts: dict[str, Mount] = {}
    for line in sys.stdin:
        command, name, *rest = line.split()
        if command == "film":
            films[name] = [unit for unit in DELIMITER.split(Path(rest[0]).read_bytes()) if unit]
        elif command == "add":
            mounts[name] = mount = Mount(name, films[rest[0]], float(rest[1]))
            factory = GstRtspServer.RTSPMediaFactory()
            factory.set_launch(LAUNCH)
            factory.set_shared(True)
            if credentials:
                factory.add_role_from_structure(permission(credentials[0]))
            factory.connect("media-configure", mount.configure)
            server.get_mount_points().add_factory(f"/{name}", factory)
        elif command == "drop":
            server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        else:
            mount = mounts[name]
            with mount.change:
                if command == "play":
                    mount.film, mount.fps, mount.number = films[rest[0]], float(rest[1]), 0
                mount.frozen = command == "freeze"
                mount.change.notify()
        say("done")


def permission(role: str) -> Any:
    return Gst.Structure.from_string(
        f"{role}, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    )[0]


if __name__ == "__main__":
    serve(*sys.argv[1:])
