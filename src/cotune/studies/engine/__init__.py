"""The engine of studies: what every kind of study shares, and nothing that any one of them knows."""
