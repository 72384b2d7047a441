"""Sealing: what opens, what does not, and how much a length tells."""

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ouija_es.ids import uuid7
from ouija_es.store.vault import PADDED_TO_BYTES, SealBroken, SealingKey, Vault, padded

RAW = bytes(range(32))


@given(plaintext=st.binary(max_size=2000), associated=st.binary(max_size=80))
def test_what_is_sealed_opens_again(plaintext: bytes, associated: bytes) -> None:
    assert SealingKey(RAW).open(SealingKey(RAW).seal(plaintext, associated), associated) == plaintext


@given(st.data())
def test_a_changed_bit_keeps_it_shut(data: st.DataObject) -> None:
    sealed = bytearray(SealingKey(RAW).seal(b"una pregunta", b"place"))
    at = data.draw(st.integers(0, 8 * len(sealed) - 1), label="bit")
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(SealBroken):
        SealingKey(RAW).open(bytes(sealed), b"place")


@given(st.binary(max_size=40))
def test_other_bytes_do_not_open(other: bytes) -> None:
    with pytest.raises(SealBroken):
        SealingKey(RAW).open(other, b"place")


def test_it_opens_neither_elsewhere_nor_under_another_key() -> None:
    sealed = SealingKey(RAW).seal(b"una pregunta", b"place")
    with pytest.raises(SealBroken):
        SealingKey(RAW).open(sealed, b"another place")
    with pytest.raises(SealBroken):
        SealingKey(RAW[::-1]).open(sealed, b"place")


def test_the_bytes_are_as_documented() -> None:
    sealed = SealingKey(RAW).seal(b"una pregunta", b"place")
    assert sealed[:1] == b"\x01"
    assert AESGCM(RAW).decrypt(sealed[1:13], sealed[13:], b"place") == b"una pregunta"


def test_the_same_text_is_never_sealed_to_the_same_bytes() -> None:
    assert len({SealingKey(RAW).seal(b"una pregunta", b"place") for _ in range(100)}) == 100


@given(st.binary(max_size=700))
def test_padding_fills_up_with_spaces_to_the_next_multiple_of_64(plaintext: bytes) -> None:
    result = padded(plaintext)
    assert len(result) % PADDED_TO_BYTES == 0
    assert len(result) - len(plaintext) < PADDED_TO_BYTES
    assert result.startswith(plaintext)
    assert result[len(plaintext) :].strip(b" ") == b""


def test_a_wrapped_session_key_is_the_key_that_was_made() -> None:
    vault, session_id = Vault(RAW), uuid7()
    key, wrapped = vault.new_key(session_id)
    sealed = key.seal(b"una pregunta", b"place")
    assert Vault(RAW).unwrap(session_id, wrapped).open(sealed, b"place") == b"una pregunta"
    assert AESGCM(RAW).decrypt(wrapped[1:13], wrapped[13:], b"ouija.session-key|" + session_id.hex.encode())


def test_a_session_key_opens_for_no_other_session_and_under_no_other_vault_key() -> None:
    session_id = uuid7()
    _, wrapped = Vault(RAW).new_key(session_id)
    with pytest.raises(SealBroken):
        Vault(RAW).unwrap(UUID(int=session_id.int ^ 1), wrapped)
    with pytest.raises(SealBroken):
        Vault(RAW[::-1]).unwrap(session_id, wrapped)


def test_every_session_has_a_key_of_its_own() -> None:
    vault, session_id = Vault(RAW), uuid7()
    sealed = vault.new_key(session_id)[0].seal(b"una pregunta", b"place")
    with pytest.raises(SealBroken):
        vault.new_key(session_id)[0].open(sealed, b"place")
