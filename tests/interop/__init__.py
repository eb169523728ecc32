"""Our scanner on software that others wrote: what runs it, and what is known to come of it."""
