"""Fast: forms for speed, proven equal to the forms for reading."""
