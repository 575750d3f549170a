"""Session descriptions (RFC 8866) and offer/answer (RFC 3264), sans-IO.

`parser.parse` and `builder.build` turn bytes into `description` values and back; `offer_answer` decides.
"""
