"""Training of one stage: what it is, its networks and data, the loop, what is measured."""
