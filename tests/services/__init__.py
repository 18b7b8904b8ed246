"""Real servers on this machine, for tests: one module each, each a context manager.

Each binds 127.0.0.1 at a free port, watches its process and the clock until it answers, keeps its
log in the folder it is given, and is stopped at the end, with whatever it started. `missing()` of
each module says which Debian package is not installed (empty: none).
"""
