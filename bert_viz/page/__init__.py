"""A self-contained HTML page that shows a model's attention."""
