"""The engine: it watches, queues, reconciles and applies, and knows no kind."""
