"""Paths that several modules of the API need."""

UPLOAD_URLS = "/v1/direct-uploads/"
"""Prefix of upload URLs; a secret follows, so they need no key and are not logged."""
