"""``dialroom keys``: API keys of the first organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.table import Table

from dialroom.auth.keys import ApiKeys
from dialroom.cli.served_store import served_store
from dialroom.config import Config
from dialroom.core.clock import SystemClock


async def create(config: Config, out: Console, name: str) -> None:
    """Prints the new key."""
    async with _keys(config) as (keys, house):
        key, text = await keys.create(house, name)
        out.print(f"{key.id}  {key.name}", markup=False)
        out.print(text, markup=False)
        out.print("Keep it: it cannot be shown again.", markup=False)


async def show_all(config: Config, out: Console) -> None:
    """Prints all keys, newest first."""
    table = Table("id", "name", "made", "revoked", box=None)
    async with _keys(config) as (keys, house):
        cursor: str | None = None
        while True:
            page = await keys.page(house, cursor, 200)
            for key in page.items:
                revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
                table.add_row(key.id, key.name, f"{key.created_at:%Y-%m-%d %H:%M}", revoked)
            if (cursor := page.next_cursor) is None:
                break
    out.print(table)


async def revoke(config: Config, out: Console, key: str) -> None:
    """Raises NotFound."""
    async with _keys(config) as (keys, house):
        await keys.revoke(house, key)
    out.print(f"{key} opens nothing any more.", markup=False)


@asynccontextmanager
async def _keys(config: Config) -> AsyncIterator[tuple[ApiKeys, str]]:
    async with served_store(config) as (store, house):
        yield ApiKeys(store.keys, SystemClock()), house
