"""What every task needs to run: files written whole, logs, progress, status records."""
