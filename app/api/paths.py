"""Paths that several modules of the API need."""

UPLOAD_URLS = "/v1/direct-uploads/"
"""Prefix of upload URLs; a secret follows, so they need no key and are not logged."""
TUS_VERSION = "1.0.0"
"""Version of the tus protocol that these URLs speak."""
