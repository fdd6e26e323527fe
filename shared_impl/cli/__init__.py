"""The command line of both implementations, a file for each command; ``main`` turns errors into exit statuses."""
