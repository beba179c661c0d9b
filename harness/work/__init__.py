"""Doing it: runs in processes or on a cluster, and how a comparison is asked for."""
