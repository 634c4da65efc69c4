"""Training logs of any other trainer -> one form, `LoggedRun`, with the columns that were guessed shown.

`open_log` tells what a path holds by what it contains; each format has its own file, and all of them hand
their lines, as mappings from a name to a value, to `points`.
"""
