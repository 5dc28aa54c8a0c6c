"""Embeddings of very many photos, on as many machines as there are."""
