"""Asks a server about photos, and keeps what it answers."""
