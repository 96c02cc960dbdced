"""The commands of `perennial`: each parses, calls and prints; what it needs is imported when it runs."""
