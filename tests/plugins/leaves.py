"""A plug-in that tries to end the program."""

raise SystemExit(3)
