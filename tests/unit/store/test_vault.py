from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from dialroom.core.errors import ConfigError, Unavailable
from dialroom.store.vault import KEY_FILE, Vault, open_vault

ONE, TWO = b"1" * 32, b"2" * 32


def test_a_sealed_secret_opens_in_its_place_only() -> None:
    vault = Vault((ONE,))
    sealed = vault.seal("s3cr3t", "rooms.pin:room_a")
    assert b"s3cr3t" not in sealed
    assert vault.open(sealed, "rooms.pin:room_a") == "s3cr3t"
    with pytest.raises(Unavailable, match="changed"):
        vault.open(sealed, "rooms.pin:room_b")


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    vault = Vault((ONE,))
    assert len({vault.seal("1234", "p") for _ in range(100)}) == 100


@pytest.mark.parametrize("index", [0, 1, 5, 20, -1])
def test_a_changed_byte_is_noticed(index: int) -> None:
    vault = Vault((ONE,))
    sealed = bytearray(vault.seal("1234", "p"))
    sealed[index] ^= 1
    with pytest.raises(Unavailable):
        vault.open(bytes(sealed), "p")


def test_an_old_key_still_opens_but_no_longer_seals() -> None:
    old = Vault((ONE,)).seal("1234", "p")
    rotated = Vault((TWO, ONE))
    assert rotated.open(old, "p") == "1234"
    with pytest.raises(Unavailable, match="another key"):
        Vault((ONE,)).open(rotated.seal("1234", "p"), "p")


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    sealed = open_vault(directory).seal("1234", "p")
    assert stat.S_IMODE((directory / KEY_FILE).stat().st_mode) == 0o600
    assert [file.name for file in directory.iterdir()] == [KEY_FILE]
    assert open_vault(directory).open(sealed, "p") == "1234"


def test_a_key_is_rotated_by_putting_a_new_one_on_top(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path).seal("1234", "p")
    file = tmp_path / KEY_FILE
    file.write_text(base64.b64encode(TWO).decode() + "\n" + file.read_text())
    assert open_vault(tmp_path).open(sealed, "p") == "1234"


@pytest.mark.parametrize("content", ["", "not base64!", "c2hvcnQ="])
def test_a_broken_key_file_is_said_to_be(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)
    with pytest.raises(ConfigError, match=KEY_FILE):
        open_vault(tmp_path)


def test_a_key_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be used"):
        open_vault(tmp_path)
