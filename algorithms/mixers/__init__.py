"""Built-in mixers, one a module."""
