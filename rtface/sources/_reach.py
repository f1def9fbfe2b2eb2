"""Why a camera or stream cannot be opened: one clause for an error's sentence. OpenCV itself only says no."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
"""Registered with IANA."""

CAMERA_FOLDER = Path("/dev")


def why_no_camera(index: int, folder: Path = CAMERA_FOLDER) -> str:
    """A clause on the camera of this number, with the cameras that exist (Linux)."""
    device = folder / f"video{index}"
    if not folder.is_dir() or os.name != "posix":
        return "no camera answers under that number, or another program uses it"
    if not device.exists():
        others = sorted(int(path.name[5:]) for path in folder.glob("video*") if path.name[5:].isdecimal())
        there = f"cameras here: {', '.join(map(str, others))}" if others else "this computer shows no camera at all"
        return f"{device} does not exist; {there}"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"you may not use {device}; add yourself to its group: sudo usermod -aG video $USER, then log in again"
    return f"{device} is in use by another program, or gives no pictures (try the next number)"


def why_no_stream(uri: str, timeout: float) -> str:
    """A clause on what the address's host answers.

    Args:
        uri: with its password; nothing of it is quoted but host and port.
        timeout: seconds for connecting and again for the answer.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or PORTS.get(parts.scheme.lower(), 0)
    except ValueError:  # its own text would quote a piece of the password
        return "the address is malformed; signs like @ / ? # in a password are written %40 %2F %3F %23"
    if not host:
        return "the address names no host"
    if not port or parts.scheme.lower() == "udp":
        return f"no video arrived within {timeout:g} s"
    try:
        with socket.create_connection((host, port), timeout) as connection:
            return _answer(connection, parts)
    except socket.gaierror:
        return f"the host name {host} is not known; check the spelling and the network"
    except TimeoutError:
        return f"{host} does not answer on port {port} within {timeout:g} s"
    except ConnectionRefusedError:
        return f"nothing listens on port {port} of {host}; check that the camera is on and the port is right"
    except OSError as error:
        return f"{host} port {port} cannot be reached: {error.strerror or error}"


def _answer(connection: socket.socket, parts: SplitResult) -> str:
    """What a server that accepts connections says to a plain request."""
    scheme = parts.scheme.lower()
    if scheme in ("rtsps", "https"):
        return "the server accepts connections but sends no video FFmpeg understands"
    connection.sendall(_request(parts).encode("utf-8", "replace"))
    status = connection.recv(64).decode("latin-1").split()
    code = status[1] if len(status) > 1 else ""
    if code == "401":
        given = "the ones in the address are not accepted" if parts.username else "the address holds none"
        return f"the server asks for a user name and password (401); {given}"
    if code in ("403", "404", "454"):
        return f"the server answers {' '.join(status[1:])[:40]}; check what follows the host in the address"
    return "the server answers but sends no video FFmpeg understands" if code else "the server says nothing we know"


def _request(parts: SplitResult) -> str:
    """The smallest question of the protocol, with Basic credentials when the address holds some."""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    place = parts.netloc.rpartition("@")[2]
    lines = [f"GET {path} HTTP/1.0", f"Host: {place}"]
    if parts.scheme.lower() == "rtsp":
        lines = [f"DESCRIBE rtsp://{place}{path} RTSP/1.0", "CSeq: 1"]
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return "\r\n".join([*lines, "", ""])
