"""Flags in groups. Each group is a frozen dataclass; nothing here needs TensorFlow."""
