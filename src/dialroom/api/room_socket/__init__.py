"""The browser's end of a meeting: ``docs/reference/room-socket.md``."""
