"""Predict: from media to trusted-or-not predictions."""
