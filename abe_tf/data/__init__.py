"""From photos to batches of uint8 pixels with labels."""
