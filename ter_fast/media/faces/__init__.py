"""Faces: found in pictures and cropped."""
