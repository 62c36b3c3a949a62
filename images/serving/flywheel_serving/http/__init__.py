"""HTTP/1.1 server on asyncio and httptools: bytes become `Request`s, and `Response`s bytes. Knows no inference protocol."""
