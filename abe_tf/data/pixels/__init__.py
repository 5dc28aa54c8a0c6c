"""Bytes to pixels, by graph operations alone."""
