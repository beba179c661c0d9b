"""Networks, one a module."""
