from __future__ import annotations

from jobs import keys


def test_redis_keys_cannot_collide() -> None:
    names = {name: value for name, value in vars(keys).items() if name.isupper() and name != "PREFIX"}
    assert all(value.startswith(keys.PREFIX) for value in names.values())
    clashes = [
        (a, b)
        for a, one in names.items()
        for b, two in names.items()
        if a != b and (one == two or (one.endswith(":") and two.startswith(one)))
    ]
    assert clashes == []
