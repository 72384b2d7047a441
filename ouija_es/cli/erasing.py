"""`ouija-es erase`: an operator erases a session, through the running server or, if there is none, in its place."""

import argparse
import asyncio
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from ouija_es.config import KEY_BYTES, ConfigError, Settings
from ouija_es.errors import FolderInUse, StartError

WAIT_SECONDS = 30.0
"""For the last copy of the key to be flushed out: it cannot be while somebody reads an older state of the database."""
AGAIN_SECONDS = 0.5
REQUEST_TIMEOUT = timedelta(seconds=40)
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here
UNKNOWN = "no question of this session is recorded"


def server_url(text: str) -> str:
    """The URL of a server, for argparse."""
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("must be an http:// or https:// URL")
    return text.rstrip("/")


def erase(options: argparse.Namespace, settings: Settings) -> int:
    """Erases, and says whether all is flushed out; if it is not, the exit code is 1."""
    from ouija_es.store.sqlite import DataFolderLock

    if options.url is not None:
        flushed = _until_flushed(lambda: _through_server(options.url, settings, options.session))
    elif not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    else:
        lock = DataFolderLock(settings.database_path)
        try:
            lock.acquire()
        except FolderInUse:
            url = _own_url(settings)
            flushed = _until_flushed(lambda: _through_server(url, settings, options.session))
        else:
            flushed = _until_flushed(lambda: asyncio.run(_here(settings.database_path, options.session)))
            lock.release()
    if flushed:
        print("erased: nobody can open the session's texts any more, and no file of the data folder holds its key")
        return 0
    print(
        "in progress: the key is destroyed, but its last copy is still in the write-ahead log, because somebody reads "
        "an older state of the database; run this again"
    )
    return 1


def _until_flushed(attempt: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while not attempt():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(AGAIN_SECONDS)
    return True


def _own_url(settings: Settings) -> str:
    if not settings.port:
        raise StartError("another process has the data folder, and PORT is 0: say with --url where it listens")
    host = EVERYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _through_server(url: str, settings: Settings, session_id: UUID) -> bool:
    """Whether it is done; False: in progress."""
    from pyreqwest.client import SyncClientBuilder
    from pyreqwest.exceptions import PyreqwestError

    if settings.erasure_token is None:
        raise ConfigError(["ERASURE_TOKEN: must be the running server's, to erase through it"])
    builder = SyncClientBuilder().no_proxy().follow_redirects(enable=False).timeout(REQUEST_TIMEOUT)
    try:
        with builder.build() as client:
            request = client.delete(f"{url}/audit/sessions/{session_id}")
            reply = request.bearer_auth(settings.erasure_token.get_secret_value()).build().send()
            status, body = reply.status, reply.text()
    except PyreqwestError as error:
        raise StartError(f"no server answers at {url} (another place: --url)") from error
    match status:
        case 204:
            return True
        case 202:
            return False
        case 404 if ":unknown-session" in body:
            reason = UNKNOWN
        case 404:
            reason = f"no server with an ERASURE_TOKEN is at {url}"
        case 401:
            reason = f"the server at {url} has another ERASURE_TOKEN"
        case 503:
            reason = f"the server at {url} cannot write just now: try again later"
        case _:
            reason = f"the server at {url} answers {status}"
    raise StartError(reason)


async def _here(database: Path, session_id: UUID) -> bool:
    """As the server does it, under the data folder's lock."""
    from eventsourcing.persistence import PersistenceError

    from ouija_es.clock import Clock
    from ouija_es.domain.vocabulary import ErasedBy
    from ouija_es.erasure import Erasure
    from ouija_es.errors import StoreFault, UnknownSession
    from ouija_es.ids import uuid7
    from ouija_es.store.log import EventLog
    from ouija_es.store.recorder import GroupCommit
    from ouija_es.store.sessions import Sessions
    from ouija_es.store.vault import Vault

    vault = Vault(bytes(KEY_BYTES))  # nothing is opened: one may erase without the key
    recorder = GroupCommit(database)
    try:
        recorder.start()
        log = EventLog(database, vault)
    except (PersistenceError, sqlite3.Error) as error:
        raise StartError(f"the database cannot be used: {error}: {database}") from error
    erasure = Erasure(log, recorder, Sessions(log, vault), Clock(), uuid7())
    try:
        return await erasure.erase(session_id, ErasedBy.OPERATOR)
    except UnknownSession as error:
        raise StartError(UNKNOWN) from error
    except StoreFault as error:
        raise StartError(f"the database cannot be read or written: {database}") from error
    finally:
        await recorder.close()
        log.close()
