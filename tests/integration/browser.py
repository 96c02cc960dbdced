"""Headless Chromium from the machine's own packages, and pages in it that are watched."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

_CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def install_chromium() -> Path:
    """Chromium's program, installed by apt first when there is none."""
    if _CHROMIUM.exists():
        return _CHROMIUM
    with Path(tempfile.gettempdir(), "perennial-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of one test run would otherwise fight over dpkg's own lock
        if not _CHROMIUM.exists():
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            for command in (
                ["apt-get", "update"],
                ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
            ):
                subprocess.run(command, check=True, env=environment, capture_output=True)
    if not _CHROMIUM.exists():
        raise RuntimeError(f"there is no {_CHROMIUM}: install the package chromium")
    return _CHROMIUM


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser that asks nothing of any network by itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=install_chromium(), headless=True, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page, with everything that it asked for and complained of."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self._url = url
        self._requests: list[str] = []
        self._complaints: list[str] = []
        page.on("request", lambda request: self._requests.append(request.url))
        page.on("console", lambda message: self._complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.goto(url)

    def check(self) -> None:
        """It asked for nothing but itself, and complained of nothing."""
        assert self._requests == [self._url]
        assert self._complaints == []
