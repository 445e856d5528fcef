"""Tests of what must hold when something dies."""
