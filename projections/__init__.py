"""The windows: read models that follow the log and may be thrown away at any time."""
