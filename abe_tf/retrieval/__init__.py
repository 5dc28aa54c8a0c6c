"""How good embeddings are at finding images of the same class."""
