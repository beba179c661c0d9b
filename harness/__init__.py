"""Matched comparisons of methods: arrives with `sslkit compare`."""
