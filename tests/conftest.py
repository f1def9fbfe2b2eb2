"""For all tests: FFmpeg's log is set before the first video of the process, whichever test that is in."""

from rtface.sources._capture import settle_opencv


def pytest_configure() -> None:
    settle_opencv()
