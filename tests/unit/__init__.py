"""Tests of one module each, without load."""
