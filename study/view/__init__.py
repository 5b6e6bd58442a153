"""`twice view`: the attention of a real model."""
