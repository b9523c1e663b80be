"""Fixed signing keys, so that every run of a test signs the same bytes; files of keys."""

from __future__ import annotations

import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coe.crypto import mac
from coe.crypto.kek import create_keks
from coe.crypto.keys import Keyring
from coe.crypto.signing import SigningKey
from coe.db import Database
from coe.settings import Settings

LOG_NAME = "coe.test/audit"


def signing_key(seed: int = 1, *, name: str = LOG_NAME) -> SigningKey:
    """The key of a seed from 0 to 255."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def give_keys(settings: Settings, folder: Path) -> Settings:
    """Copy the keys of a folder to where the settings have theirs; returns the settings."""
    for path in (settings.kek_path, settings.mac_key_path, settings.signing_key_path):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy(folder / path.name, path)
    return settings


def keyring_of(database: Database, kek_file: Path) -> Keyring:
    """A keyring with the keys of a file, which is made if it is missing."""
    create_keks(kek_file)
    mac.create_keys(kek_file.with_name("mac"))
    return Keyring(database, kek_file)
