"""Configuration of Schemathesis beyond the OpenAPI."""

import schemathesis

# A chunk of an upload and a zipped model are bytes, whatever their media types are called.
schemathesis.serializer.alias(["application/offset+octet-stream", "application/zip"], "application/octet-stream")
