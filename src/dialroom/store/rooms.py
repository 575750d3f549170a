"""Organisations, rooms, numbers and gateways in SQL."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from dialroom.core.answers import KeptAnswer
from dialroom.core.errors import CodeTaken, Conflict, NotFound, NumberTaken, SlugTaken
from dialroom.core.paging import Page
from dialroom.rooms.values import Gateway, Number, Organisation, Room
from dialroom.store.database import Database
from dialroom.store.dialled import Dialled
from dialroom.store.idempotency import keep_answer
from dialroom.store.paging import read_page
from dialroom.store.tables import (
    gateways,
    micros,
    micros_or_none,
    moment,
    moment_or_none,
    numbers,
    organisations,
    rooms,
)
from dialroom.store.vault import Vault


class SqlOrganisations:
    """`OrganisationStore` and `SecretStore`. Signing secrets are kept in memory once read: they never change."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._secrets: dict[str, str] = {}

    async def find(self, organisation: str) -> Organisation | None:
        query = select(organisations).where(organisations.c.id == organisation)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return self._value(row) if row else None

    async def list(self) -> tuple[Organisation, ...]:
        query = select(organisations).order_by(organisations.c.created_at, organisations.c.id)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return tuple(self._value(row) for row in rows)

    async def create(self, organisation: Organisation) -> None:
        values = self.row(organisation)
        await self._database.write(lambda c: c.execute(insert(organisations), values))

    async def token_secret(self, organisation: str) -> str | None:
        if organisation not in self._secrets:
            found = await self.find(organisation)
            if found is None:
                return None
            self._secrets[organisation] = found.token_secret
        return self._secrets[organisation]

    def row(self, organisation: Organisation) -> dict[str, Any]:
        """The organisation as it is stored."""
        return {
            "id": organisation.id,
            "name": organisation.name,
            "token_secret": self._vault.seal(
                organisation.token_secret, f"organisations.token_secret:{organisation.id}"
            ),
            "created_at": micros(organisation.created_at),
        }

    def _value(self, row: Row[Any]) -> Organisation:
        return Organisation(
            id=row.id,
            name=row.name,
            token_secret=self._vault.open(row.token_secret, f"organisations.token_secret:{row.id}"),
            created_at=moment(row.created_at),
        )


class SqlRooms:
    """`RoomStore`."""

    def __init__(self, database: Database, vault: Vault, dialled: Dialled) -> None:
        self._database = database
        self._vault = vault
        self._dialled = dialled

    async def find(self, organisation: str, room: str) -> Room | None:
        query = select(rooms).where(rooms.c.organisation == organisation, rooms.c.id == room)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return self.value(row) if row else None

    async def find_by_slug(self, slug: str) -> Room | None:
        query = select(rooms).where(rooms.c.slug == slug)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return self.value(row) if row else None

    async def find_by_code_prefix(self, organisation: str, digits: str, limit: int) -> tuple[Room, ...]:
        query = (
            select(rooms)
            .where(rooms.c.organisation == organisation, rooms.c.dial_in, _begins_with(digits))
            .order_by(func.length(rooms.c.code), rooms.c.code)
            .limit(limit)
        )
        found = await self._database.read(lambda c: c.execute(query).all())
        return tuple(self.value(row) for row in found)

    async def codes_related_to(self, organisation: str, code: str) -> tuple[str, ...]:
        shorter = [code[:length] for length in range(1, len(code))]
        query = select(rooms.c.code).where(
            rooms.c.organisation == organisation,
            or_(_begins_with(code), rooms.c.code.in_(shorter)),
        )
        return tuple(await self._database.read(lambda c: c.execute(query).scalars().all()))

    async def count_dial_in(self, organisation: str) -> int:
        query = select(func.count()).where(rooms.c.organisation == organisation, rooms.c.code.is_not(None))
        return await self._database.read(lambda c: c.execute(query).scalar_one())

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Room]:
        query = select(rooms).where(rooms.c.organisation == organisation)
        return await self._database.read(
            lambda c: read_page(c, query, rooms.c.created_at, rooms.c.id, cursor, limit, self.value)
        )

    async def create(self, room: Room, answer: KeptAnswer | None = None) -> None:
        values = self.row(room)

        def work(connection: Connection) -> None:
            connection.execute(insert(rooms), values)
            keep_answer(connection, self._vault, answer)

        try:
            await self._database.write(work)
        except IntegrityError as error:
            raise _room_conflict(error) from error

    async def change(self, room: Room) -> None:
        values = self.row(room)
        query = update(rooms).where(rooms.c.organisation == room.organisation, rooms.c.id == room.id).values(values)
        try:
            changed = await self._database.write(lambda c: c.execute(query).rowcount)
        except IntegrityError as error:
            raise _room_conflict(error) from error
        if changed == 0:
            raise NotFound(f"There is no room {room.id!r}.")

    async def delete(self, organisation: str, room: str) -> None:
        query = delete(rooms).where(rooms.c.organisation == organisation, rooms.c.id == room)
        pointing = update(numbers).where(numbers.c.organisation == organisation, numbers.c.room == room)

        def work(connection: Connection) -> int:
            deleted = connection.execute(query).rowcount  # first: from now on no number can be led there
            connection.execute(pointing.values(room=None))
            return deleted

        deleted = await self._database.write(work)
        self._dialled.changed()
        if deleted == 0:
            raise NotFound(f"There is no room {room!r}.")

    def row(self, room: Room) -> dict[str, Any]:
        """The room as it is stored."""
        return {
            "id": room.id,
            "organisation": room.organisation,
            "name": room.name,
            "slug": room.slug,
            "dial_in": room.dial_in,
            "code": room.code,
            "pin": None if room.pin is None else self._vault.seal(room.pin, f"rooms.pin:{room.id}"),
            "language": room.language,
            "opens_at": micros_or_none(room.opens_at),
            "expires_at": micros_or_none(room.expires_at),
            "max_participants": room.max_participants,
            "locked": room.locked,
            "starts_with": room.starts_with,
            "guests": room.guests,
            "host_key": self._vault.seal(room.host_key, f"rooms.host_key:{room.id}"),
            "metadata": msgspec.json.encode(dict(room.metadata)).decode(),
            "created_at": micros(room.created_at),
            "updated_at": micros(room.updated_at),
        }

    def value(self, row: Row[Any]) -> Room:
        """The room in a row."""
        return Room(
            id=row.id,
            organisation=row.organisation,
            name=row.name,
            slug=row.slug,
            dial_in=row.dial_in,
            code=row.code,
            pin=None if row.pin is None else self._vault.open(row.pin, f"rooms.pin:{row.id}"),
            language=row.language,
            opens_at=moment_or_none(row.opens_at),
            expires_at=moment_or_none(row.expires_at),
            max_participants=row.max_participants,
            locked=row.locked,
            starts_with=row.starts_with,
            guests=row.guests,
            host_key=self._vault.open(row.host_key, f"rooms.host_key:{row.id}"),
            metadata=msgspec.json.decode(row.metadata),
            created_at=moment(row.created_at),
            updated_at=moment(row.updated_at),
        )


class SqlNumbers:
    """`NumberStore`."""

    def __init__(self, database: Database, vault: Vault, dialled: Dialled) -> None:
        self._database = database
        self._vault = vault
        self._dialled = dialled

    async def find(self, organisation: str, number: str) -> Number | None:
        query = select(numbers).where(numbers.c.organisation == organisation, numbers.c.id == number)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return number_value(row) if row else None

    async def dialled(self, number: str) -> tuple[Number, ...]:
        return await self._dialled.find(number, self._read_dialled)

    async def _read_dialled(self, number: str) -> tuple[Number, ...]:
        query = select(numbers).where(numbers.c.number == number).order_by(numbers.c.created_at, numbers.c.id)
        return tuple(number_value(row) for row in await self._database.read(lambda c: c.execute(query).all()))

    async def list(self, organisation: str) -> tuple[Number, ...]:
        query = select(numbers).where(numbers.c.organisation == organisation).order_by(numbers.c.number)
        return tuple(number_value(row) for row in await self._database.read(lambda c: c.execute(query).all()))

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Number]:
        query = select(numbers).where(numbers.c.organisation == organisation)
        return await self._database.read(
            lambda c: read_page(c, query, numbers.c.created_at, numbers.c.id, cursor, limit, number_value)
        )

    async def create(self, number: Number, answer: KeptAnswer | None = None) -> None:
        values = number_row(number)

        def work(connection: Connection) -> None:
            _check_room(connection, number)
            connection.execute(insert(numbers), values)
            keep_answer(connection, self._vault, answer)

        try:
            await self._database.write(work)
        except IntegrityError as error:
            raise NumberTaken(f"The number {number.number} is already set up.") from error
        self._dialled.changed()

    async def change(self, organisation: str, number: str, change: Callable[[Number], Number]) -> Number:
        this = (numbers.c.organisation == organisation) & (numbers.c.id == number)

        def work(connection: Connection) -> Number:
            row = connection.execute(select(numbers).where(this).with_for_update()).one_or_none()
            if row is None:
                raise _no_number(number)
            before = number_value(row)
            after = change(before)
            if after.room != before.room:
                _check_room(connection, after)
            connection.execute(update(numbers).where(this).values(number_row(after)))
            return after

        changed = await self._database.write(work)
        self._dialled.changed()
        return changed

    async def delete(self, organisation: str, number: str) -> None:
        query = delete(numbers).where(numbers.c.organisation == organisation, numbers.c.id == number)
        deleted = await self._database.write(lambda c: c.execute(query).rowcount)
        self._dialled.changed()
        if deleted == 0:
            raise _no_number(number)


class SqlGateways:
    """`GatewayStore`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def find(self, organisation: str, gateway: str) -> Gateway | None:
        query = select(gateways).where(gateways.c.organisation == organisation, gateways.c.id == gateway)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        return self._value(row) if row else None

    async def list(self) -> tuple[Gateway, ...]:
        query = select(gateways).order_by(gateways.c.created_at, gateways.c.id)
        return tuple(self._value(row) for row in await self._database.read(lambda c: c.execute(query).all()))

    async def page(self, organisation: str, cursor: str | None, limit: int | None) -> Page[Gateway]:
        query = select(gateways).where(gateways.c.organisation == organisation)
        return await self._database.read(
            lambda c: read_page(c, query, gateways.c.created_at, gateways.c.id, cursor, limit, self._value)
        )

    async def create(self, gateway: Gateway, answer: KeptAnswer | None = None) -> None:
        values = self._row(gateway)

        def work(connection: Connection) -> None:
            connection.execute(insert(gateways), values)
            keep_answer(connection, self._vault, answer)

        try:
            await self._database.write(work)
        except IntegrityError as error:
            raise _username_taken() from error

    async def change(self, organisation: str, gateway: str, change: Callable[[Gateway], Gateway]) -> Gateway:
        this = (gateways.c.organisation == organisation) & (gateways.c.id == gateway)

        def work(connection: Connection) -> Gateway:
            row = connection.execute(select(gateways).where(this).with_for_update()).one_or_none()
            if row is None:
                raise NotFound(f"There is no gateway {gateway!r}.")
            after = change(self._value(row))
            connection.execute(update(gateways).where(this).values(self._row(after)))
            return after

        try:
            return await self._database.write(work)
        except IntegrityError as error:
            raise _username_taken() from error

    async def delete(self, organisation: str, gateway: str) -> None:
        query = delete(gateways).where(gateways.c.organisation == organisation, gateways.c.id == gateway)
        if await self._database.write(lambda c: c.execute(query).rowcount) == 0:
            raise NotFound(f"There is no gateway {gateway!r}.")

    def _row(self, gateway: Gateway) -> dict[str, Any]:
        place = f"gateways.password:{gateway.id}"
        return {
            "id": gateway.id,
            "organisation": gateway.organisation,
            "name": gateway.name,
            "addresses": msgspec.json.encode([str(network) for network in gateway.addresses]).decode(),
            "username": gateway.username,
            "password": None if gateway.password is None else self._vault.seal(gateway.password, place),
            "region": gateway.region,
            "created_at": micros(gateway.created_at),
        }

    def _value(self, row: Row[Any]) -> Gateway:
        place = f"gateways.password:{row.id}"
        return Gateway(
            id=row.id,
            organisation=row.organisation,
            name=row.name,
            addresses=tuple(ip_network(text) for text in msgspec.json.decode(row.addresses, type=list[str])),
            username=row.username,
            password=None if row.password is None else self._vault.open(row.password, place),
            region=row.region,
            created_at=moment(row.created_at),
        )


def number_row(number: Number) -> dict[str, Any]:
    """The number as it is stored."""
    return {
        "id": number.id,
        "organisation": number.organisation,
        "number": number.number,
        "display": number.display,
        "country": number.country,
        "language": number.language,
        "dial_in": number.dial_in,
        "room": number.room,
        "created_at": micros(number.created_at),
    }


def number_value(row: Row[Any]) -> Number:
    """The number in a row."""
    return Number(
        id=row.id,
        organisation=row.organisation,
        number=row.number,
        display=row.display,
        country=row.country,
        language=row.language,
        dial_in=row.dial_in,
        room=row.room,
        created_at=moment(row.created_at),
    )


def _no_number(number: str) -> NotFound:
    return NotFound(f"There is no number {number!r}.", "Use the number's `id`.")


def _check_room(connection: Connection, number: Number) -> None:
    """Raises NotFound unless the room the number leads into is there, and stays until this transaction is over."""
    if number.room is None:
        return
    query = select(rooms.c.id).where(rooms.c.organisation == number.organisation, rooms.c.id == number.room)
    if connection.execute(query.with_for_update(read=True, key_share=True)).one_or_none() is None:
        raise NotFound(f"There is no room {number.room!r}.")


def _begins_with(digits: str) -> ColumnElement[bool]:
    """A range, so that the index serves it. Of digits only: how others sort among them depends on the language in which
    the database sorts."""
    least = digits.rstrip("9")
    if not least:
        return rooms.c.code >= digits
    return (rooms.c.code >= digits) & (rooms.c.code < f"{least[:-1]}{int(least[-1]) + 1}")


def _room_conflict(error: IntegrityError) -> Conflict:
    text = str(error.orig)
    if "slug" in text:
        return SlugTaken("Another room already has this link.")
    if "code" in text:
        return CodeTaken("Another room already has this dial-in code.")
    return Conflict("The room does not fit what is already there.")


def _username_taken() -> Conflict:
    """One digest realm serves all gateways, so the user name alone must tell whose call it is."""
    return Conflict("Another gateway already has this username.", "Choose another username.")
