"""What ships in the box: algorithms here, slots in `teachers`, `labelers` and `mixers`, and `pretrainers`."""
