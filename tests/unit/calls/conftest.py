from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fixtures import *  # noqa: F403

from .switchboard_room import House, SipCaller


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def caller() -> AsyncIterator[SipCaller]:
    caller = SipCaller()
    await caller.start()
    yield caller
    await caller.close()
