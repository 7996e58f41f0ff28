from __future__ import annotations

from pathlib import Path

from tests.soak.evidence.journal import Journal, of, read


def test_written_lines_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert read(path) == []
    journal = Journal(path)
    first = journal.write("accepted", id="a")
    second = journal.write("seen", t=5.0, id="a")
    journal.close()
    assert read(path) == [first, second]
    assert of(read(path), "seen") == [second]
    assert second["t"] == 5.0


def test_truncated_line_does_not_affect_others(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    first = journal.write("accepted", id="a")
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"what": "acc')
    journal = Journal(path)
    second = journal.write("accepted", id="b")
    journal.close()
    assert read(path) == [first, second]
