"""A SavedModel through TensorFlow's C API, without Python TensorFlow."""
