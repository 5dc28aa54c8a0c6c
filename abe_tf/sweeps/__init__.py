"""Trainings around a flagfile."""
