"""TensorFlow Serving's REST contract."""
