"""The Keras model with the custom train step, and what happens around its steps."""
