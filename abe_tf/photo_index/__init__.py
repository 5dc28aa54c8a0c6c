"""An index of photos, kept up to date, and what can be asked of it."""
