"""Checks a log from its first event to its last: needs nothing of the service but the rows."""
