"""`ouija-es audit`: reads what was recorded."""

import argparse

from ouija_es.config import Settings
from ouija_es.errors import StartError


def show(options: argparse.Namespace, settings: Settings) -> int:
    """Prints a session's timeline."""
    from ouija_es.store.keys import vault_key
    from ouija_es.store.log import EventLog
    from ouija_es.store.vault import Vault
    from ouija_es.timeline import timeline

    if not settings.database_path.exists():
        raise StartError(f"there is no database: {settings.database_path}")
    log = EventLog(settings.database_path, Vault(vault_key(settings, make=False).raw))
    try:
        questions = log.session(options.session)
    finally:
        log.close()
    if not questions:
        raise StartError("no question of this session is recorded")
    for line in timeline(options.session, questions):
        print(line)
    return 0
