"""The archive: the append-only log of events, chained and kept in one file."""
