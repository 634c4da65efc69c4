"""A parsed row -> conversations: which shape the rows of a file have, and how each shape is read."""
