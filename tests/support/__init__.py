"""What tests share: schedules, runs, rows and machines made up, and a look at processes."""
