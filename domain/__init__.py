"""The study: what is decided and why. Pure: no I/O, no clock, no SQL."""
