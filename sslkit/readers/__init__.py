"""The image formats that are read, a file each; whatever none of them is known by is left to Pillow."""
