"""Comparisons on a real Slurm, which is started on this machine."""
