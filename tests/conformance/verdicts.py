"""What we do with each torture message of RFC 4475 and RFC 5118: a status, `call`, `dropped`, and why.

`call`: an INVITE that becomes a session. `dropped`: no answer at all.
"""

RFC4475 = {
    # 3.1.1 valid messages
    "wsinv": (481, "a short tortuous INVITE, valid, and for a dialog we do not have"),
    "intmeth": (501, "a valid message with a method nobody knows"),
    "esc01": ("call", "escapes in user parts are valid; user and host are told apart before decoding"),
    "escnull": (405, "escaped NULs are valid; we take no REGISTER"),
    "esc02": (501, "% escapes nothing in a method: RE%47IST%45R is not REGISTER"),
    "lwsdisp": (200, "no space between display name and <"),
    "longreq": ("call", "long values, 34 Via fields"),
    "dblreq": (405, "the REGISTER is answered, the request after it in the datagram is dropped"),
    "semiuri": (200, "semicolon parameters in the user part"),
    "transports": (200, "unknown transports in lower Vias are not our business"),
    "mpart01": (405, "a multipart body; we take no MESSAGE"),
    "unreason": ("dropped", "a valid response to nothing of ours"),
    "noreason": ("dropped", "a valid response, with an empty reason, to nothing of ours"),
    # 3.1.2 invalid messages
    "badinv01": (400, "extraneous separators in Via"),
    "clerr": (400, "Content-Length larger than the datagram"),
    "ncl": (400, "negative Content-Length"),
    "scalar02": (400, "CSeq beyond 2**32"),
    "scalarlg": ("dropped", "a response with a CSeq beyond 2**32"),
    "quotbal": (400, "unterminated quoted string in To"),
    "ltgtruri": (400, "angle brackets around the Request-URI"),
    "lwsruri": (400, "white space in the Request-URI"),
    "lwsstart": (400, "several spaces in the start line"),
    "trws": (400, "white space at the end of the start line"),
    "escruri": (400, "headers in the Request-URI"),
    "baddate": ("call", "Date in EST; nobody here reads Date, which the RFC allows"),
    "regbadct": (405, "a Contact with ? outside of angle brackets; we take no REGISTER, and do not read its Contact"),
    "badaspec": (200, "spaces within <>: understood all the same, which the RFC allows"),
    "baddn": (200, "unquoted comma in a display name: understood all the same, which the RFC allows"),
    "badvers": (505, "SIP/7.0"),
    "mismatch01": (400, "CSeq names another method"),
    "mismatch02": (400, "CSeq names another, known method"),
    "bigcode": ("dropped", "a response with a status beyond 699"),
    # 3.2 transaction layer
    "badbranch": (200, "a branch of the bare magic cookie is matched as by RFC 2543"),
    # 3.3 application layer
    "insuf": (400, "From, To, Call-ID and Max-Forwards are missing"),
    "unkscm": (416, "unknown scheme in the Request-URI"),
    "novelsc": (416, "a known scheme, but not one that can be called"),
    "unksm2": (405, "unknown schemes in To, From and Contact do not disturb; we take no REGISTER"),
    "bext01": (420, "unknown extensions required"),
    "invut": (415, "an INVITE with an unknown body"),
    "regaut01": (405, "an unknown authentication scheme; we take no REGISTER"),
    "multi01": (400, "header fields repeated that may stand once"),
    "mcl01": (400, "two Content-Lengths"),
    "bcast": ("dropped", "a response to nothing of ours, with a broadcast address in Via"),
    "zeromf": (200, "Max-Forwards 0 does not concern the one who is meant"),
    "cparam01": (405, "a Contact parameter; we take no REGISTER"),
    "cparam02": (405, "a Contact URI parameter; we take no REGISTER"),
    "regescrt": (405, "a Contact with an escaped Route; we take no REGISTER"),
    "sdp01": ("call", "Accept without application/sdp: what the offerer accepts besides is not ours to refuse"),
    # 3.4 backward compatibility
    "inv2543": ("call", "an INVITE of RFC 2543: no branch, no From tag, no Contact"),
}

RFC5118 = {
    "ipv6-good": (405, "IPv6 reference in the Request-URI; we take no REGISTER"),
    "ipv6-bad": (400, "IPv6 address without brackets"),
    "port-ambiguous": (405, "a port inside the brackets is part of a legal address"),
    "port-unambiguous": (405, "a port after the brackets"),
    "via-received-param-with-delim": (481, "received in brackets, in a BYE of no call of ours"),
    "via-received-param-no-delim": (200, "received without brackets"),
    "ipv6-in-sdp": ("call", "IPv6 in the description"),
    "mult-ip-in-header": (481, "both families in Via, in a BYE of no call of ours"),
    "mult-ip-in-sdp": ("call", "both families in the description"),
    "ipv4-mapped-ipv6": ("call", "an IPv4-mapped address"),
    "ipv6-bug-abnf-3-colons": (400, "three colons, as the grammar of RFC 3261 allowed by mistake, are no address"),
    "ipv6-correct-abnf-2-colons": (200, "two colons"),
}
