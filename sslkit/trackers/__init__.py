"""Where the figures of a run are shown elsewhere, a file each."""
