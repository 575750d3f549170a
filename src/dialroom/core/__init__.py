"""Words everyone shares: ids, time, numbers, errors, events, how a call ended."""
