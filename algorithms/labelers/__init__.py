"""Built-in labelers, one a module."""
