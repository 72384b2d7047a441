"""Networks that fail: addresses where nobody answers, TLS that nobody trusts, and a network of one's own to break."""

import contextlib
import ctypes
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import require

CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
"""The flags of unshare(2) for mounts and for the network, from linux/sched.h."""
T = TypeVar("T")


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """host:port where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listen() it is refused, and nobody else gets it
        yield address(taken)


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield address(listening)


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """Does not answer a SYN: Linux drops those for which there is no room in the queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, contextlib.ExitStack() as stack:
        while True:
            connection = stack.enter_context(socket.socket())
            connection.settimeout(0.2)
            try:
                connection.connect(listening.getsockname())
            except TimeoutError:
                break
        yield address(listening)


@contextlib.contextmanager
def untrusted_tls(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """host:port that proves by a certificate of its own to be 127.0.0.1, and why handshakes failed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    failures: list[str] = []

    def handshakes(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the end of the block closes it
            while True:
                connection, _ = listening.accept()
                connection.settimeout(2)
                try:
                    with context.wrap_socket(connection, server_side=True) as trusted:
                        failures.append(f"trusted: {trusted.recv(100)!r}")
                except (ssl.SSLError, OSError) as error:
                    failures.append(str(error))
                    connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=handshakes, args=[listening], daemon=True)
        thread.start()
        yield address(listening), failures
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def _certificate(folder: Path) -> Path:
    """A key and its self-signed certificate for 127.0.0.1, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"{host}:{port}"


def in_own_network(scenario: Callable[[], T]) -> T:
    """Runs it in a thread whose sockets, and whose processes', know only a loopback of their own.

    Mounts are its own too. All of it is gone with the thread and the processes. Linux, and root.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not Path("/proc/self/ns/net").exists():
        pytest.skip("platform: only root on Linux can make a network of its own")
    require("ip (Debian: apt install iproute2)", shutil.which("ip") is not None)
    require("nft (Debian: apt install nftables)", shutil.which("nft") is not None)

    def alone() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
            pytest.skip(f"platform: no network of its own here: {os.strerror(ctypes.get_errno())}")
        run("mount", "--make-rprivate", "/")
        run("ip", "link", "set", "lo", "up")
        return scenario()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(alone).result()


def filter_loopback(*rules: str) -> None:
    """Puts these rules, and no others, before what leaves for a local address."""
    chain = "\n".join(["type filter hook output priority 0", *rules])
    run("nft", f"add table inet faults\ndelete table inet faults\ntable inet faults {{\nchain out {{\n{chain}\n}}\n}}")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
