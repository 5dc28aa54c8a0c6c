"""What a run measured, its text, pictures and page."""
