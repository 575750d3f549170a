"""Idempotency keys: a create that is repeated with the same key is carried out once and answered twice alike."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel

from dialroom.api.context import Services

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Yours, any unique text. The same request with the same key is carried out only once in 24 h.",
    ),
]
M = TypeVar("M", bound=BaseModel)


async def once(
    services: Services,
    request: Request,
    tenant: str,
    key: str | None,
    kind: type[M],
    create: Callable[[], Awaitable[M]],
) -> M:
    """What ``create`` made, now or when this key was first used.

    Raises IdempotencyMismatch when the key was used for another request, IdempotencyInProgress while the first runs.
    """
    if key is None:
        return await create()
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).hexdigest()
    stored = await services.idempotency.begin(tenant, key, digest)
    if stored is not None:
        return kind.model_validate_json(stored)
    try:
        made = await create()
    except BaseException:
        await services.idempotency.forget(tenant, key)
        raise
    await services.idempotency.finish(tenant, key, made.model_dump_json().encode())
    return made
