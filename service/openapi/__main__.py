"""`python -m service.openapi write|check`: writes openapi/openapi.json, or checks it against the code."""

from __future__ import annotations

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
    if arguments == ["write"]:
        FILE.write_text(rendered())
        return 0
    if arguments == ["check"]:
        if FILE.exists() and FILE.read_text() == rendered():
            return 0
        sys.stderr.write(f"{FILE} does not match the code: run `python -m service.openapi write`\n")
        return 1
    sys.stderr.write("usage: python -m service.openapi write|check\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
