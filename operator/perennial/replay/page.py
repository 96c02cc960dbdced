"""Writes ``report.json`` and the page that shows it: one file, no network."""

import json
from importlib.resources import files
from pathlib import Path

from perennial.replay.report import Report

REPORT_FILE, PAGE_FILE = "report.json", "index.html"
_PLACE = "/*REPORT*/"


def write_page(report: Report, folder: Path) -> None:
    """Both files, each whole or not at all."""
    text = json.dumps(report.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    _replace(folder / REPORT_FILE, text)
    _replace(folder / PAGE_FILE, build_page(text))


def build_page(report: str) -> str:
    """The page with the report in it."""
    template = files("perennial.replay").joinpath("page.html").read_text(encoding="utf-8")
    # `</script>` in a message would end the script that the document stands in.
    return template.replace(_PLACE, report.replace("</", "<\\/"), 1)


def _replace(path: Path, text: str) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
