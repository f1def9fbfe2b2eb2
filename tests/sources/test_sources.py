from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rtface.errors import SourceUnavailable
from rtface.sources import mask, open_source

SIGNS = st.characters(min_codepoint=33, max_codepoint=126)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("0", "0"),
        ("film.mp4", "film.mp4"),
        ("rtsp://ada:secret@cam/live", "rtsp://ada:***@cam/live"),
        ("rtsp://ada:se@cr/et@cam:554/live", "rtsp://ada:***@cam:554/live"),
        ("rtsp://opensesame@cam/live", "rtsp://***@cam/live"),
        ("rtsp://cam:554/live@1", "rtsp://cam:554/live@1"),
        ("rtsp://[::1]:554/live", "rtsp://[::1]:554/live"),
        ("http://cam/v?user=ada&token=abc&w=640#x", "http://cam/v?user=ada&token=***&w=640#x"),
        ("http://cam/v?w=1&loginpass=abc", "http://cam/v?w=1&loginpass=***"),
    ],
)
def test_secrets_are_masked_and_the_rest_stays(address: str, shown: str) -> None:
    assert mask(address) == shown


@settings(derandomize=True, deadline=None)
@given(password=st.text(SIGNS, min_size=6, max_size=12))
def test_no_password_survives_masking_whatever_signs_it_has(password: str) -> None:
    assume(not re.match(r"\d*[/?#]", password))  # host:port/path@..., which is no secret, looks the same
    assume(password not in "rtsp://user:***@camera:554/live?channel=1")
    assert password not in mask(f"rtsp://user:{password}@camera:554/live?channel=1")


@pytest.mark.parametrize("address", ["", "no/such/file.mp4", "gopher://x/y", "a\0b"])
def test_what_is_no_source_is_told_with_the_forms_a_source_has(address: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"A source is a camera's number .* demo"):
        open_source(address)


def test_a_missing_file_is_named_with_its_absolute_path() -> None:
    with pytest.raises(SourceUnavailable, match=str(Path("nowhere.mp4").absolute())):
        open_source("nowhere.mp4")


def test_unknown_streams_are_refused_without_their_password() -> None:
    with pytest.raises(SourceUnavailable) as caught:
        open_source("gopher://ada:secret@cam/x")
    assert "secret" not in str(caught.value)


def test_choosing_a_source_imports_no_library() -> None:
    script = (
        "import sys, rtface.sources as s; s.mask('rtsp://a:b@c'); print({'cv2', 'PIL', 'numpy.fft'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"cv2", "PIL"} & set(ran.stdout.replace("'", " ").split())
