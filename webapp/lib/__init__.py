"""Helpers that know no models: start-up, settings from the environment, services, security headers."""
