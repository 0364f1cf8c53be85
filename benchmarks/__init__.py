"""Side-by-side timings; each prints a table. README.md lists the commands."""
