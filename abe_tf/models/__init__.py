"""Networks that map pixels to learner embeddings."""
