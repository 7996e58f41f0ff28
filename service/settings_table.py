"""The README's table of settings: `python -m service.settings_table write|check README.md`.

The table stands between the two marker lines and is made from `jobs.settings.Settings`, field by field.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from jobs.settings import Settings

BEGIN = "<!-- settings:begin -->"
END = "<!-- settings:end -->"


def table() -> str:
    """The settings as a Markdown table: variable, default, meaning."""
    prefix = Settings.model_config["env_prefix"]
    rows = [
        f"| `{prefix}{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(("| variable | default | meaning |", "|---|---|---|", *rows))


def with_table(text: str) -> str:
    """``text`` with the present table between its markers. Raises ValueError if a marker is missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the file has no lines {BEGIN} and {END}")
    return f"{head}{begin}\n{table()}\n{end}{tail}"


def main(arguments: list[str]) -> int:
    """``write`` the table into a file, or ``check`` that it is there (exit status 1 if not)."""
    if len(arguments) != 2 or arguments[0] not in {"write", "check"}:
        sys.stderr.write("usage: python -m service.settings_table write|check FILE\n")
        return 2
    file = Path(arguments[1])
    text = file.read_text()
    if arguments[0] == "write":
        file.write_text(with_table(text))
        return 0
    if text == with_table(text):
        return 0
    sys.stderr.write(f"the settings in {file} are out of date: run `python -m service.settings_table write {file}`\n")
    return 1


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else f"`{field.default}`"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
