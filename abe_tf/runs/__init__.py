"""Run folders, their flags, their trained models: the door behind training."""
