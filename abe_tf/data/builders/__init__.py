"""Data sets of our own for TensorFlow Datasets."""
