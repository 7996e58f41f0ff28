"""Recognition of public IP addresses, the only ones that webhooks may reach. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# Public by number, but a cloud-internal service: Azure's WireServer (its documentation, "What is
# IP address 168.63.129.16").
_INSIDE = frozenset({IPv4Address("168.63.129.16")})
# Not globally reachable (IANA IPv6 Special-Purpose Address Registry), but unknown to some Python versions: site-local
# (RFC 3879, deprecated, yet routed in places), documentation (RFC 9637), segment routing (RFC 9602).
_OF_A_SITE = (IPv6Network("fec0::/10"), IPv6Network("3fff::/20"), IPv6Network("5f00::/16"))
# The IPv4 address in the last 32 bits is what is reached: IPv4-compatible (RFC 4291, 2.5.5.1), NAT64 (RFC 6052, 2.1).
_LAST_32_BITS = (IPv6Network("::/96"), IPv6Network("64:ff9b::/96"))


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet.

    Loopback, private, shared, link-local (cloud metadata with it), multicast and reserved ones are not, and neither are
    IPv6 addresses that embed such an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64). Raises ValueError if
    ``text`` is not an address.
    """
    address = ip_address(text)
    carried = _carried(address) if isinstance(address, IPv6Address) else ()
    if any(address in network for network in _OF_A_SITE):
        return False
    return all(
        each.is_global and not each.is_multicast and not each.is_reserved and each not in _INSIDE
        for each in (carried or (address,))
    )


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses embedded in ``address``, which a packet to it may reach."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in network for network in _LAST_32_BITS):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()
