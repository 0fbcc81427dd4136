"""Opinions: evidence, fusion, decisions, uncertainty and the evidential losses."""
