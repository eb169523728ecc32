"""Many servers: a list of them as a matrix of jobs, and their reports as one answer.

Reports come from other machines and hold what servers said: every file is bounded, read without
following a link, and checked before a word of it goes on.
"""
