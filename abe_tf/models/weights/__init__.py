"""Pretrained weights: where from, checksum, conversion."""
