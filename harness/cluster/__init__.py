"""A comparison as jobs of a cluster: the stages that are missing, bundled, submitted to Slurm, attached to again."""
