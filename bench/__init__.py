"""The figures of dialroom, as one table: ``python -m bench`` (``make bench``)."""
