from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from .support.stage import StorySet
from .support.time_machine import TimeMachinePolicy


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    return TimeMachinePolicy()


@pytest.fixture
async def scene() -> AsyncIterator[StorySet]:
    scene = StorySet()
    yield scene
    await scene.close()
