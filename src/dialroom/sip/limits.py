"""How much of anything we take from a peer.

A typical INVITE through three proxies is 1.5–3 kB with 20–35 header lines; the largest legal one in RFC 4475
(`longreq`) has 46. Carriers refuse datagrams above 4–8 kB.
"""

from __future__ import annotations

MAX_MESSAGE = 65_535
"""Bytes of a whole message: what one UDP datagram can carry."""
MAX_HEADER_FIELDS = 128
MAX_HEADER_VALUE = 8_192
"""Characters of one header field value."""
MAX_VALUES = 64
"""Comma-separated values read from one header."""
MAX_PARAMETERS = 64
MAX_ROUTES = 32
MAX_CSEQ = 2**32 - 1
