"""HTTP/1.1 on asyncio and httptools. Knows nothing of the inference protocol: bytes become `Request`s and back."""
