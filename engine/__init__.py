"""Ab Ovo's search engine: evolves machine-learning algorithms from basic maths. Knows nothing of the web application."""
