"""One header family per module: a frozen value, `parse_…`, and `str()` for the wire."""
