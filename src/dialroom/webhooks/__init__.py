"""Events delivered to receivers outside: signed, in order, retried for 72 hours, replayable."""
