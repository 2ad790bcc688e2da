"""Ab Ovo, the web application."""
