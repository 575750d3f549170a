"""Secrets at rest: AES-256-GCM with a key from a file, each bound to the row and column it belongs to.

A sealed secret is one byte of format, four bytes that name the key, a 96-bit random nonce, and the ciphertext with its
tag. The file holds one key per line in base64: the first seals, any opens, so a new key is put on top of the old ones.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dialroom.core.errors import ConfigError, Unavailable

KEY_FILE: Final = "secret.key"
_FORMAT = b"\x01"
_NONCE = 12


class Vault:
    """Seals and opens secrets."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("a vault needs keys of 32 bytes")
        self._current = _name(keys[0])
        self._ciphers = {_name(key): AESGCM(key) for key in keys}

    def seal(self, secret: str, place: str) -> bytes:
        """Encrypt `secret` for one `place`, such as ``rooms.pin:room_…``."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._ciphers[self._current].encrypt(nonce, secret.encode(), place.encode())
        return _FORMAT + self._current + nonce + sealed

    def open(self, sealed: bytes, place: str) -> str:
        """Decrypt what was sealed for this `place`. Raises Unavailable if the key is another or the bytes changed."""
        name, nonce, rest = sealed[1:5], sealed[5 : 5 + _NONCE], sealed[5 + _NONCE :]
        cipher = self._ciphers.get(name)
        if sealed[:1] != _FORMAT or cipher is None:
            raise _unreadable("was sealed with another key")
        try:
            return cipher.decrypt(nonce, rest, place.encode()).decode()
        except InvalidTag as error:
            raise _unreadable("was changed") from error


def open_vault(data_dir: Path) -> Vault:
    """The vault of a data directory; its key file is made at the first start, readable by its owner only.

    Raises ConfigError.
    """
    path = data_dir / KEY_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key_file(path)
        lines = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The key file {path} cannot be used: {error}.", "Check `data_dir` and its rights."
        ) from error
    try:
        return Vault(tuple(base64.b64decode(line, validate=True) for line in lines))
    except (binascii.Error, ValueError) as error:
        raise ConfigError(
            f"The key file {path} holds no keys.", "Restore it from a backup: without it stored secrets are lost."
        ) from error


def _make_key_file(path: Path) -> None:
    """Written aside and linked into place, so that of two starting processes one key wins, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
    finally:
        temporary.unlink()


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"dialroom key name" + key).digest()[:4]


def _unreadable(why: str) -> Unavailable:
    return Unavailable(f"A stored secret {why}.", f"Restore the right {KEY_FILE} in the data directory.")
