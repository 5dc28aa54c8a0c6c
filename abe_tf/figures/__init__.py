"""Pictures, each drawn from the project's own models."""
