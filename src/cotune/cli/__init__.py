"""The command line: thin commands over studies and reports."""
