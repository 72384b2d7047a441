"""`ouija-es seed`, `keys`, `backup` and `rebuild`: what is done with the data folder."""

import argparse
import sqlite3
import time

from ouija_es.config import Settings
from ouija_es.errors import StartError


def seed(options: argparse.Namespace, settings: Settings) -> int:
    """Writes the canned answers, whatever is in the table."""
    import seeds
    from ouija_es.store.answers import seed_database
    from ouija_es.store.chaining import chain_once
    from ouija_es.store.sqlite import DataFolderLock

    del options
    lock = DataFolderLock(settings.database_path)
    lock.acquire()
    chain_once(settings.database_path)
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
    from ouija_es.store.keys import keyring

    del options
    if not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    started_at = time.monotonic()
    state = make_views(settings.database_path, {keyring(settings, make=False).ledger_public_key()})
    seconds = time.monotonic() - started_at
    print(f"{state.ordinal} events folded in {seconds:.1f} s, up to position {state.position}")
    if state.mismatch is not None:
        raise StartError(f"the ledger does not hold: at position {state.mismatch.position} {state.mismatch.what}")
    return 0
