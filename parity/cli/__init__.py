"""The ``parity`` commands, one a file, and what they share; :mod:`parity.__main__` puts them together.

A command is a function that returns its exit status and imports what it needs in its body, so that ``--help`` is quick
and no command pays for the frameworks of another. It raises :class:`parity.verdict.UnusableInput` for anything that the
caller must mend.
"""
