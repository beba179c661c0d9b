"""Tests of `sslkit check`, `sslkit new` and `sslkit.testing`."""
