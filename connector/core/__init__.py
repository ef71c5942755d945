"""Everything that decides: no I/O, no clock, no logging, no async, no randomness of its own."""
