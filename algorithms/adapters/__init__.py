"""Built-in adapters, one a module."""
