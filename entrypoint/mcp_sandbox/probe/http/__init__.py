"""MCP over HTTP: what the prober writes as lines goes out as requests, what comes back as lines."""
