"""Files, from their process to the verdicts; and judging with another."""
