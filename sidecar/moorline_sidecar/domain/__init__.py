"""What a session is and what may happen to it: no I/O, no event loop, no clock."""
