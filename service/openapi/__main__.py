"""Generator of openapi/openapi.json from the code (`python -m service.openapi write|check`)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from jobs.settings import Settings
from service.app import create_app

FILE = Path(__file__).parents[2] / "openapi" / "openapi.json"


def rendered() -> str:
    """The document of the application with default settings, in the file's format."""
    return json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """``write`` the file, or ``check`` that it matches the code (exit status 1 if not)."""
    parser = argparse.ArgumentParser(prog="python -m service.openapi", description=__doc__)
    parser.add_argument("action", choices=("write", "check"))
    if parser.parse_args(arguments).action == "write":
        FILE.write_text(rendered())
    elif not FILE.exists() or FILE.read_text() != rendered():
        sys.stderr.write(f"{FILE} does not match the code: run `python -m service.openapi write`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
