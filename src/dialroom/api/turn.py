"""Credentials for TURN servers that live only for a while (the REST scheme coturn calls ``use-auth-secret``)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dialroom.config import TurnServer


def ice_servers(servers: Sequence[TurnServer], participant: str, now: datetime) -> list[dict[str, Any]]:
    """RTCIceServer values for one participant: the username is the expiry and the name, the password its HMAC-SHA1."""
    given = []
    for server in servers:
        username = f"{int(now.timestamp()) + server.ttl}:{participant}"
        digest = hmac.new(server.secret.get_secret_value().encode(), username.encode(), hashlib.sha1).digest()
        given.append({"urls": list(server.urls), "username": username, "credential": base64.b64encode(digest).decode()})
    return given
