"""Idempotency keys: a create that is repeated with the same key is carried out once and answered twice alike."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel

from dialroom.api.context import Services
from dialroom.core.answers import Answer, KeptAnswer, unanswered
from dialroom.core.errors import StoreUnavailable

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
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
    create: Callable[[Answer[M]], Awaitable[M]],
) -> M:
    """What ``create`` made, now or when this key was first used.

    ``create`` is handed what makes the answer to keep, and stores that in the transaction that creates; one that writes
    nothing need not. Raises IdempotencyMismatch when the key was used for another request, IdempotencyInProgress while
    the first runs.
    """
    if key is None:
        return await create(unanswered)
    body = await request.body()
    earlier = await services.idempotency.begin(tenant, key, request.method, request.url.path, body)
    if earlier is not None:
        return kind.model_validate_json(earlier.body)
    kept = False

    def answer(made: M) -> KeptAnswer:
        nonlocal kept
        kept = True
        return KeptAnswer(tenant, key, 201, made.model_dump_json(by_alias=True).encode())

    try:
        made = await create(answer)
        if not kept:
            await services.idempotency.finish(answer(made))
    except BaseException:
        with contextlib.suppress(StoreUnavailable):  # then the key is free again after a while
            await services.idempotency.abandon(tenant, key)
        raise
    return made
