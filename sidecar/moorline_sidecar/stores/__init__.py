"""Where sessions are kept: one port, one file a backend."""
