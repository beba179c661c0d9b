"""Built-in methods of the stage `pretrain`, one a module: algorithms that need no label."""
