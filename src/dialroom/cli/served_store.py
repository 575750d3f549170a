"""The store of a server that was started before, for commands that look into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dialroom.config import Config
from dialroom.core.bus import EventBus
from dialroom.core.errors import NotFound
from dialroom.store.store import Store

_FIX = (
    "Start the server once (`dialroom serve`), or say which one is meant: `--config`, DIALROOM_CONFIG or "
    "DIALROOM_DATA_DIR as it was started with."
)


@asynccontextmanager
async def served_store(config: Config) -> AsyncIterator[tuple[Store, str]]:
    """The store and its first organisation. Raises NotFound where no server ever was: what is asked in the wrong folder
    must neither be answered from an empty database nor leave one behind."""
    if not config.database_url and not (config.data_dir / "dialroom.db").exists():
        raise NotFound(f"There is no database in {config.data_dir.resolve()}.", _FIX)
    store = await Store.open(config.database, config.data_dir, EventBus())
    try:
        organisations = await store.organisations.list()
        if not organisations:
            raise NotFound("There is no organisation yet.", _FIX)
        yield store, organisations[0].id
    finally:
        await store.close()
