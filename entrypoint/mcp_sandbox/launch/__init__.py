"""How a server wants to be started: what files say of it, what it lacks, and why it did not start.

Nothing here starts anything: text goes in, facts come out.
"""
