"""Built-in data sets, one a module."""
