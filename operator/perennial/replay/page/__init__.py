"""Writes ``report.json`` and the page that shows it: one file, no network.

The page is assembled from the files beside this one. Its Content-Security-Policy names the hashes of its own style and
script, so that nothing else in it can run, whatever stands in a report.
"""

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from perennial.replay.report import Report

REPORT_FILE, PAGE_FILE = "report.json", "index.html"
_SCRIPTS = ("format.js", "scale.js", "marks.js", "chart.js", "pointing.js", "tables.js", "sections.js", "main.js")
"""In the order in which they are read: together they are one script."""


def write_page(report: Report, folder: Path) -> None:
    """Both files, each whole or not at all."""
    text = json.dumps(report.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    _replace(folder / REPORT_FILE, text)
    _replace(folder / PAGE_FILE, build_page(text))


def build_page(report: str) -> str:
    """The page with the report in it."""
    style = _part("page.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_part(name) for name in _SCRIPTS) + "})();\n"
    # `</script>` in a message would end the script that the document stands in, and `<!--<script>` its end. The report
    # comes last: what looks like a place in it is left alone.
    filled = {
        "/*STYLE-HASH*/": _hash(style),
        "/*SCRIPT-HASH*/": _hash(script),
        "/*STYLE*/": style,
        "/*SCRIPT*/": script,
        "/*REPORT*/": report.replace("<", "\\u003c"),
    }
    page = _part("page.html")
    for place, text in filled.items():
        page = page.replace(place, text, 1)
    return page


def _part(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
