"""The server as a whole, with its real media process and a real call by the test phone."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from rich.console import Console

from dialroom.cli.call import CallPlan, make_call
from dialroom.cli.own_media import own_media
from dialroom.cli.phone import PhoneFailure, TestPhone
from dialroom.config import Config, load_config
from dialroom.core.errors import ConfigError, StoreUnavailable
from dialroom.media.fake import FakeMediaPlane
from dialroom.media.process import MediaProcessError, find_binary
from dialroom.server import Doors, Server, media_process
from dialroom.store.store import Store
from tests.support.clock import ManualClock


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dialroom-") as name:
        yield Path(name)


@pytest.fixture
def _media_is_built() -> None:
    try:
        find_binary()
    except MediaProcessError as error:
        pytest.skip(f"THE MEDIA PROCESS IS NOT BUILT, the server is not tested: {error}")


def config(folder: Path, **values: Any) -> Config:
    ours = {"http_port": 0, "sip_host": "127.0.0.1", "sip_port": 0, "webrtc_port": 0}
    return load_config(environ={}, data_dir=folder, **{**ours, **values})


def busy_port() -> socket.socket:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken


async def test_a_server_without_its_database_is_not_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, clock = Server(config(folder)), ManualClock()
    server.clock, server.media = clock, FakeMediaPlane()  # type: ignore[assignment]
    server.store = await Store.open(server.config.database, folder, server.bus)
    watching = asyncio.create_task(server._keep_watching_store())
    answers: list[Exception | None] = [StoreUnavailable(), None]

    async def check() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer

    monkeypatch.setattr(server.store, "check", check)
    assert server._ready()["store"]
    await clock.advance(5)
    assert not server._ready()["store"]
    await clock.advance(5)
    assert server._ready()["store"]
    watching.cancel()
    await server.store.close()


async def test_a_taken_http_port_is_named_with_what_to_do(folder: Path) -> None:
    with busy_port() as taken, pytest.raises(ConfigError, match=r"HTTP cannot listen on 127\.0\.0\.1") as refused:
        await Server(config(folder, http_port=taken.getsockname()[1])).start()
    assert "DIALROOM_HTTP_PORT" in refused.value.fix


async def test_a_name_that_leads_nowhere_is_said_to_be_unknown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = OSError(socket.EAI_NONAME, "Name or service not known (while attempting to bind)")
    monkeypatch.setattr(socket, "create_server", Mock(side_effect=unknown))
    with pytest.raises(ConfigError, match=r"HTTP cannot listen on nowhere:0: Name or service not known"):
        await Server(config(folder, http_host="nowhere")).start()


@pytest.mark.usefixtures("_media_is_built")
async def test_a_taken_sip_port_is_named_and_nothing_stays_behind(folder: Path) -> None:
    with busy_port() as taken, pytest.raises(ConfigError, match=r"SIP cannot listen on 127\.0\.0\.1") as refused:
        await Server(config(folder, sip_port=taken.getsockname()[1])).start()
    assert "DIALROOM_SIP_PORT" in refused.value.fix
    assert not (folder / "media.pid").exists()


@pytest.mark.usefixtures("_media_is_built")
async def test_a_database_that_cannot_be_opened_leaves_no_media_process_behind(folder: Path) -> None:
    (folder / "dialroom.db").write_bytes(b"this is no database, " * 500)
    with pytest.raises(ConfigError, match="database cannot be opened"):
        await Server(config(folder)).start()
    assert media_process(config(folder)).pid() is None


@pytest.mark.usefixtures("_media_is_built")
async def test_a_start_that_fails_leaves_the_media_process_it_found_alone(folder: Path) -> None:
    process = media_process(config(folder))
    assert await process.ensure()
    with busy_port() as taken, pytest.raises(ConfigError, match="SIP cannot listen"):
        await Server(config(folder, sip_port=taken.getsockname()[1])).start()
    assert process.pid() is not None
    await process.stop()


async def test_a_data_directory_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match=r"data directory .*/file cannot be used: File exists") as refused:
        await Server(config(folder / "file")).start()
    assert "DIALROOM_DATA_DIR" in refused.value.fix


async def test_a_second_server_in_a_data_directory_is_refused(folder: Path) -> None:
    first = Server(config(folder))
    first._take_data_dir()
    with pytest.raises(ConfigError, match="Another server works"):
        await Server(config(folder)).start()
    await first._closing.aclose()
    second = Server(config(folder))
    second._take_data_dir()
    await second._closing.aclose()


@pytest.mark.usefixtures("_media_is_built")
async def test_a_wrong_prompts_folder_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="prompts_dir"):
        await Server(config(folder, prompts_dir=folder / "nowhere")).start()


@pytest.mark.usefixtures("_media_is_built")
async def test_a_phone_calls_is_in_the_room_and_the_next_start_knows_it(folder: Path) -> None:
    server = Server(config(folder))
    doors = await server.start()
    assert doors.first is not None
    said: list[str] = []
    async with own_media() as media, TestPhone.open(media, said.append) as phone:
        with pytest.raises(PhoneFailure, match="404"):
            await phone.dial(target(doors).replace("1000", "2000"))
        line = await phone.dial(target(doors), caller="Ada", codecs=["PCMU"])
        await line.send_digits(doors.first.room.code or "")
        async with (
            asyncio.timeout(20),
            httpx2.AsyncClient(
                base_url=doors.base_url, headers={"Authorization": f"Bearer {doors.first.api_key}"}
            ) as api,
        ):
            while (await last_call(api))["state"] != "in_room":  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.05)
            record = await last_call(api)
        assert record["codec"] == "PCMU"
        assert record["from_name"] == "Ada"
        await server.stop()
        async with asyncio.timeout(10):
            await line.ended.wait()
        assert line.ending == "the other side hung up"
        await line.hang_up()
    again = Server(config(folder))
    doors = await again.start()
    assert doors.first is None
    assert doors.calls_taken_up == 0
    await again.stop()


@pytest.mark.usefixtures("_media_is_built")
async def test_a_server_that_is_stopping_sends_load_balancers_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(config(folder))
    doors = await server.start()
    answers = []
    async with httpx2.AsyncClient(base_url=doors.base_url) as api:
        assert (await api.get("/healthz")).status_code == 200
        stop = server.switchboard.stop

        async def stop_and_ask(**options: Any) -> None:
            await stop(**options)
            answers.append(await api.get("/healthz"))

        monkeypatch.setattr(server.switchboard, "stop", stop_and_ask)
        await server.stop()
    (answer,) = answers
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"sip": False, "media": True, "store": True}


@pytest.mark.usefixtures("_media_is_built")
async def test_a_test_call_that_is_called_off_is_hung_up(folder: Path) -> None:
    server = Server(config(folder))
    doors = await server.start()
    assert doors.first is not None
    plan = CallPlan(target(doors), "", 0.0, None, None, None, 60.0, (), "test")
    calling = asyncio.create_task(make_call(plan, Console(quiet=True)))
    headers = {"Authorization": f"Bearer {doors.first.api_key}"}
    async with asyncio.timeout(20), httpx2.AsyncClient(base_url=doors.base_url, headers=headers) as api:
        while not (await api.get("/api/calls?state=answered")).json()["items"]:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)
        calling.cancel()
        await asyncio.wait({calling})
        while (await last_call(api))["ending"] is None:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.05)
        assert (await last_call(api))["ending"]["reason"] == "caller_hung_up"
    await server.stop()


async def test_a_name_without_address_is_not_said_to_have_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = Mock(side_effect=socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with TestPhone.open(FakeMediaPlane(), lambda text: None) as phone:
        with pytest.raises(PhoneFailure, match=r"phones\.example has no IPv4 address"):
            await phone.dial("sip:1000@phones.example")


async def last_call(api: httpx2.AsyncClient) -> dict[str, Any]:
    items = (await api.get("/api/calls")).json()["items"]
    call: dict[str, Any] = items[0]
    return call


def target(doors: Doors) -> str:
    return f"sip:1000@{doors.sip_host}:{doors.sip_port}"
