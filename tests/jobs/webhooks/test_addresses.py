from __future__ import annotations

import pytest

from jobs.webhooks.addresses import is_public


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "3ffe::1"])
def test_public_addresses_are_recognised(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",  # cloud metadata
        "100.64.0.1",
        "100.100.100.200",  # cloud metadata
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # cloud metadata
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "fec0::1",
        "feff::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "2001:0:7f00:1::1",
    ],
)
def test_private_addresses_are_recognised(address: str) -> None:
    assert not is_public(address)


def test_invalid_addresses_raise() -> None:
    with pytest.raises(ValueError, match="localhost"):
        is_public("localhost")
