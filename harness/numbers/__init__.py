"""What came out, as numbers: frames, statistics, stability."""
