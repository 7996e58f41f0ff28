from __future__ import annotations

from jobs import errors
from jobs.errors import JobError, Unavailable


def leaves(error: type[JobError]) -> list[type[JobError]]:
    below = error.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [error]


def test_codes_are_unique_and_documented() -> None:
    codes = [leaf.code for leaf in leaves(JobError)]
    assert len(codes) == len(set(codes))
    assert all(leaf.__name__ in (errors.__doc__ or "") for leaf in leaves(JobError))


def test_unavailability_errors_have_a_retry_time() -> None:
    assert all(leaf.retry_after_s > 0 for leaf in leaves(Unavailable) if issubclass(leaf, Unavailable))
