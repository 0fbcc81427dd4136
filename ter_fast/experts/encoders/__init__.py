"""Encoders: from the sound or pictures of a window to features."""
