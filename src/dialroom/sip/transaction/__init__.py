"""The four transaction machines of RFC 3261 §17, with the Accepted state of RFC 6026.

A machine takes what happened and `now` (monotonic seconds) and returns what is to be done, as values of
`outputs.Output`. It has one `deadline`; whoever drives it calls `handle_timeout` when that has passed.
"""
