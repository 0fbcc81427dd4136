"""Trust: thresholds, metrics and calibration over arrays of answers; knows neither media nor models."""
