"""A call's signalling, sans-IO: `Session` in `session.py`, one operation per module beside it.

| module | RFC |
|---|---|
| invite, cancel | 3261 §13.2, §9 (we call) |
| accept, reject, provisional | 3261 §13.3, 3262 (we are called) |
| ack | 3261 §13.2.2.4, §13.3.1.4 |
| bye | 3261 §15 |
| reinvite, update, offer | 3261 §14, 3311, 3264 |
| prack | 3262 |
| info, options | 6086, 3261 §11 |
| requests | 3261 §12.2.1, §22 (any request within the dialog) |
"""
