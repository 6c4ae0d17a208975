"""What Schemathesis must be told beside the reference."""

import schemathesis

# A piece of an upload is bytes, whatever its media type is called.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
