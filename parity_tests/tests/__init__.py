"""The proofs; their names are the claims."""
