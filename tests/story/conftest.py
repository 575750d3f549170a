from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from .support.stage import StorySet
from .support.time_machine import TimeMachine


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], TimeMachine]]:
    """Stories run in their own time."""
    return {"own time": TimeMachine}


@pytest.fixture
async def scene() -> AsyncIterator[StorySet]:
    scene = StorySet()
    yield scene
    await scene.close()
