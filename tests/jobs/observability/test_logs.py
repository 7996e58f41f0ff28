from __future__ import annotations

import json
import subprocess
import sys


def test_one_json_object_a_line_on_standard_error() -> None:
    program = (
        "import structlog; from jobs.observability.logs import configure_logging; configure_logging();"
        "log = structlog.get_logger(); log.debug('not shown'); log.info('edit started', job='j');"
        "\ntry: 1 / 0\nexcept ZeroDivisionError: log.exception('failed')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    first, second = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["event"], first["job"], first["level"]) == ("edit started", "j", "info")
    assert "ZeroDivisionError" in second["exception"]
    assert done.stdout == ""
