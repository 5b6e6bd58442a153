"""What the field says of attention, measured, with its limits."""
