"""Figures as inline SVG: canvas, bands, timelines, charts."""
