"""The sources of the site's pages, in Markdown, made from the project."""
