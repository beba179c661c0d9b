"""What ships in the box: algorithms here, slots in `teachers`, `labelers` and `mixers`, and `pretrainers`.

No list of them is kept: the registry finds a part by its folder and its name.
"""
