"""Pipeline definition, and tools to compile it, submit it, and run it on one machine."""
