"""HTTP/1.1 on asyncio and httptools. Knows nothing of the inference protocol: it turns bytes into `Request`s and back."""
