"""Configuration of Schemathesis beyond the OpenAPI."""

import schemathesis

# A chunk of an upload is bytes, whatever its media type is called.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
