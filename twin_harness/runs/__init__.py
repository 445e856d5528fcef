"""What an experiment leaves: run folders, rows, recordings, and how they are read back."""
