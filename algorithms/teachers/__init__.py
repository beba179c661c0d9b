"""Built-in teachers, one a module."""
