"""One HTML page that shows a model's attention and loads nothing."""
