"""The command line: each file parses one command or a few, calls one function, and prints."""
