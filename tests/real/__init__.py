"""Tests under real load, with tolerances that hold on a busy machine."""
