"""The command line. Exit codes: 0 done, 1 it could not be done or the check failed, 2 wrong usage or settings."""

import argparse
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from uuid import UUID

from ouija_es import __version__
from ouija_es.config import ConfigError, Settings, read_settings
from ouija_es.errors import OuijaError, StartError

Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    os.umask(0o077)  # what is written here tells about people
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options, read_settings())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except OuijaError as error:
        print(f"ouija-es: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ouija-es", description="A virtual Ouija board's backend.")
    parser.add_argument("--version", action="version", version=f"ouija_es {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str, *, to: object = commands) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = to.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
        sub.set_defaults(command=command)
        return sub

    add("serve", serve, "Serve HTTP on HOST:PORT until SIGTERM or SIGINT.")
    add("seed", seed, "Write the canned answers into the database.")
    keys_parser = add("keys", keys, "Show where the keys in force come from; make the key files if there are none.")
    keys_parser.add_argument("--new", action="store_true", help="print a fresh VAULT_KEY and LEDGER_KEY instead")
    backup_parser = add("backup", backup, "Copy the database to FILE, also while the service runs. Keys are not in it.")
    backup_parser.add_argument("file", type=Path, metavar="FILE")
    add("rebuild", rebuild, "Fold the log into new views; a running service takes them over when they are done.")
    audit = commands.add_parser("audit", help="Read what was recorded.").add_subparsers(
        required=True, metavar="COMMAND"
    )
    show = add("show", audit_show, "Print a session's history as a timeline.", to=audit)
    show.add_argument("session", type=UUID, metavar="SESSION")
    return parser


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until a signal comes, then finishes what is in flight."""
    # Imported here: the other commands do not need a web server, and are there sooner.
    import uvicorn

    from ouija_es.app import create_app
    from ouija_es.readiness import Readiness
    from ouija_es.telemetry.logs import configure_logs

    del options
    # Once stopped, uvicorn raises the signal again for whoever handled it before: that is here, and means success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    configure_logs(settings.log_level, settings.effective_log_format)
    readiness = Readiness()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            readiness.draining = True
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            create_app(settings, readiness),
            host=settings.host,
            port=settings.port,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=round(settings.answer_deadline_seconds) + 1,
        )
    )
    server.run()
    return 0 if server.started else 1


def seed(options: argparse.Namespace, settings: Settings) -> int:
    """Writes the canned answers, whatever is in the table."""
    import seeds
    from ouija_es.store.answers import seed_database
    from ouija_es.store.sqlite import DataFolderLock

    del options
    lock = DataFolderLock(settings.database_path)
    lock.acquire()
    loaded = seeds.load_answers()
    seed_database(settings.database_path, loaded, force=True)
    lock.release()
    print(f"Seeded {len(loaded)} responses")
    return 0


def keys(options: argparse.Namespace, settings: Settings) -> int:
    """Shows the keys' origins and what may be known of them."""
    from ouija_es.store.keys import keyring, new_key

    if options.new:
        print(f"VAULT_KEY={new_key()}\nLEDGER_KEY={new_key()}")
        return 0
    ring = keyring(settings)
    print(f"vault key    {ring.vault.origin}\n  fingerprint  {ring.vault_fingerprint()}")
    print(f"ledger key   {ring.ledger.origin}\n  public key   {ring.ledger_public_key()}")
    return 0


def backup(options: argparse.Namespace, settings: Settings) -> int:
    """Copies the database with SQLite's online backup, checks the copy, and only then gives it its name."""
    source = settings.database_path
    if not source.exists():
        raise StartError(f"there is no database: {source}")
    if options.file.exists():
        raise StartError(f"there is a file already: {options.file}")
    scratch = options.file.with_name(options.file.name + ".part")
    try:
        with (
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True) as origin,
            sqlite3.connect(scratch) as copy,
        ):
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            problem = copy.execute("PRAGMA quick_check").fetchone()[0]
            events = copy.execute("SELECT COUNT(*) FROM stored_events").fetchone()[0]
        origin.close()
        copy.close()
        if problem != "ok":
            raise StartError(f"the copy is damaged: {problem}")
        scratch.rename(options.file)
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"the backup failed: {error}") from error
    finally:
        scratch.unlink(missing_ok=True)
    print(f"{events} events in {options.file}")
    return 0


def rebuild(options: argparse.Namespace, settings: Settings) -> int:
    """Makes the views anew, beside the old ones; whoever uses those next, or now, takes the new ones over."""
    from ouija_es.projections.catching_up import rebuild as make_views

    del options
    if not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    started_at = time.monotonic()
    state = make_views(settings.database_path)
    seconds = time.monotonic() - started_at
    print(f"{state.ordinal} events folded in {seconds:.1f} s, up to position {state.position}")
    return 0


def audit_show(options: argparse.Namespace, settings: Settings) -> int:
    """Prints a session's timeline."""
    from ouija_es.store.keys import keyring
    from ouija_es.store.log import EventLog
    from ouija_es.store.vault import Vault
    from ouija_es.timeline import timeline

    if not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    log = EventLog(settings.database_path, Vault(keyring(settings, make=False).vault_key))
    try:
        questions = log.session(options.session)
    finally:
        log.close()
    if not questions:
        raise StartError("no question of this session is recorded")
    for line in timeline(options.session, questions):
        print(line)
    return 0
