"""`python -m sslkit`."""

from sslkit.cli import entry_point

entry_point()
