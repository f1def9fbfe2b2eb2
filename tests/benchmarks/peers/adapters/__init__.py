"""One file a peer; its name is the file's name. Importing one imports none of the peer's libraries.

An adapter has ``TITLE`` (one line for the table), ``RULE`` (how it decides on a name), ``REQUIREMENTS`` (pip
requirements of its virtual environment; empty: the runner's own interpreter), ``WITHOUT_DEPENDENCIES`` (installed after
them with ``--no-deps``) and ``open_peer``. Run as a module it reads a job and writes a report, see ``protocol.serve``.
"""
