"""What is exported, and whether it may be."""
