"""The command line of both implementations, one file a command; ``main`` runs it and turns errors into exit statuses."""
