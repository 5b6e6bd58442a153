"""`twice variance`: what the square root of d_k does."""
