"""The assembly of one training."""
