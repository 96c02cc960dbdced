"""`python -m perennial.replay.schema [--check] FILE`: the JSON schema of ``report.json``, for whoever reads it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from perennial.replay.report import Report


def build_schema() -> str:
    """The schema as it is published: draft 2020-12."""
    schema = Report.model_json_schema(by_alias=True, mode="validation")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the file; with --check it only says whether the file is as it would be written."""
    parser = argparse.ArgumentParser(prog="python -m perennial.replay.schema", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when the file differs")
    options = parser.parse_args(argv)
    if not options.check:
        options.file.write_text(build_schema(), encoding="utf-8")
        return 0
    if options.file.exists() and options.file.read_text(encoding="utf-8") == build_schema():
        return 0
    sys.stderr.write(f"{options.file} is not what the models say: run `make crds`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
