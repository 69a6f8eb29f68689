"""The specification against itself (TLC), against its weaknesses, and against the code."""
