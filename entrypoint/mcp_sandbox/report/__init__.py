"""The outputs of a run: one module per format, and the one place where text is escaped."""
