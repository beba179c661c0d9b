"""What ships in the box: algorithms here, their slots in `teachers`, `labelers` and `mixers`."""
