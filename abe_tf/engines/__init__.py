"""Vectors of an index for other engines: databases, and files."""
