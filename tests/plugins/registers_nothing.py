"""A plug-in without a part."""
