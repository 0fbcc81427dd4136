"""Experts: one network a modality, their configuration, and models on disk."""
