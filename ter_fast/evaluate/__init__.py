"""Evaluate: accuracy and trust on labelled data, reports, and robustness."""
