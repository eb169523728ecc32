"""The lock file of behaviour: taken from a run, written, read, found, compared."""
