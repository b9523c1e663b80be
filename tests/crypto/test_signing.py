from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coe.crypto.signing import (
    KeyRefused,
    NoteRefused,
    SigningKey,
    VerifyKey,
    split_note,
)
from coe.secret_files import KeyFileMissing, SecretFileRefused, create_secret
from tests.factories.keys import signing_key

# The example of golang.org/x/mod/sumdb/note.
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqd"
    "ngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = signing_key()


def test_a_note_is_signed_as_go_signs_it() -> None:
    key = SigningKey.parse(SKEY)
    assert key.vkey == VKEY
    assert key.sign_note(TEXT) == NOTE
    assert VerifyKey.parse(VKEY).open_note(NOTE) == TEXT


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_any_text_comes_back(line: str) -> None:
    text = f"{line}\nmore\n"
    assert KEY.public.open_note(KEY.sign_note(text)) == text


def test_no_byte_of_a_note_can_be_changed() -> None:
    note = KEY.sign_note("coe.test/audit\n12\nroot\n").encode()
    for index in range(len(note)):
        for bit in range(8):
            tampered = bytearray(note)
            tampered[index] ^= 1 << bit
            with pytest.raises((NoteRefused, UnicodeDecodeError)):
                KEY.public.open_note(bytes(tampered).decode())


def test_a_note_of_another_key_or_with_two_signatures_is_refused() -> None:
    other = signing_key(2)
    note = KEY.sign_note("text\n")
    with pytest.raises(NoteRefused, match="another key"):
        other.public.open_note(note)
    second = other.sign_note("text\n").rpartition("\n\n")[2]
    with pytest.raises(NoteRefused, match="alone"):
        KEY.public.open_note(note + second)
    assert len(split_note(note + second)[1]) == 2


@pytest.mark.parametrize("text", ["", "text", "text\n", "text\n\n", "\n\n— a b\n", "t\n\n- a b\n"])
def test_a_malformed_note_is_refused(text: str) -> None:
    with pytest.raises(NoteRefused):
        split_note(text)


def test_no_character_of_a_verification_key_can_be_changed() -> None:
    for index in range(len(VKEY)):
        replaced = "A" if VKEY[index] != "A" else "B"
        with pytest.raises(KeyRefused):
            VerifyKey.parse(VKEY[:index] + replaced + VKEY[index + 1 :])


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\n"])
def test_a_name_that_a_note_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(KeyRefused):
        SigningKey.generate(name)


def test_the_signature_of_a_digest_is_verified() -> None:
    digest = hashlib.sha256(b"definition").hexdigest()
    signature = KEY.sign_digest(digest)
    assert KEY.public.verify_digest(digest, signature)
    assert not KEY.public.verify_digest(hashlib.sha256(b"another").hexdigest(), signature)
    tampered = bytearray(base64.b64decode(signature))
    tampered[0] ^= 1
    assert not KEY.public.verify_digest(digest, base64.b64encode(tampered).decode())
    assert not KEY.public.verify_digest(digest, "no base64")
    with pytest.raises(ValueError, match="64"):
        KEY.sign_digest("abcd")


def test_the_key_file_is_created_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing"
    with pytest.raises(KeyFileMissing, match="coe key new"):
        SigningKey.load(path, "coe.test/audit")
    assert SigningKey.create(path, "coe.test/audit")
    first = SigningKey.load(path, "coe.test/audit")
    assert not SigningKey.create(path, "coe.test/audit")
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path, "coe.test/audit").vkey == first.vkey
    with pytest.raises(SecretFileRefused, match=r"coe\.test/audit"):
        SigningKey.load(path, "elsewhere/audit")
    path.chmod(0o644)
    with pytest.raises(SecretFileRefused, match="chmod"):
        SigningKey.load(path, "coe.test/audit")


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing"
    good = f"{SKEY}\n".encode()
    create_secret(path, good)
    assert SigningKey.load(path, "PeterNeumann").vkey == VKEY
    for index in range(len(good) - 1):
        tampered = bytearray(good)
        tampered[index] = ord("A") if good[index] != ord("A") else ord("B")
        path.write_bytes(bytes(tampered))
        with pytest.raises(SecretFileRefused):
            SigningKey.load(path, "PeterNeumann")
