"""What each ``parity`` command does, a file each; :mod:`parity.__main__` holds their options."""
