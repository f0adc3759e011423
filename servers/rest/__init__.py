"""The REST door: resources, problem documents, tokens, and a queue that lets many writers share one wait for the disk."""
