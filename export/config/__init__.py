"""Flags of the exporter, the local server and the client."""
