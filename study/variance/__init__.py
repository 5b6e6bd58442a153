"""`twice variance`: what the square root of d_k is for."""
