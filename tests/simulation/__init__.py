"""A deterministic simulation: one seed decides every order, crash, duplicate, reordering and interleaving."""
