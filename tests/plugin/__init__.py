"""Tests of the plugin, by pytest on a small foreign project."""
