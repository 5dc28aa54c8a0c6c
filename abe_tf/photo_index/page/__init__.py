"""The page: a web server on the developer's own machine, and what it shows."""
