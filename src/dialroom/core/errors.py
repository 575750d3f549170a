"""What can go wrong, said so that the reader knows whose fault it is and what to do.

Every error has a stable ``code`` (documented, never renamed), the HTTP ``status`` it becomes, a short ``title``, a
``detail`` of what happened this time and a ``fix``. The API turns them into problem+json one to one.
"""

# ruff: noqa: N818 - the names say what is the case; "Error" behind each adds nothing

from __future__ import annotations

from typing import ClassVar


class DialroomError(Exception):
    """Base of every error that is meant for a user. Use a subclass; the class fixes code, title and status."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    status: ClassVar[int] = 500
    default_fix: ClassVar[str] = "Try again; if it happens again, look into the server's log."

    def __init__(self, detail: str = "", fix: str = "") -> None:
        self.detail = detail or self.title
        self.fix = fix or self.default_fix
        super().__init__(self.detail)


class Invalid(DialroomError):
    """A value cannot be used. ``field`` names it, as a path such as ``pin`` or ``numbers.0``, if there is one."""

    code = "invalid"
    title = "A value cannot be used"
    status = 422
    default_fix = "Correct the value and send the request again."

    def __init__(self, detail: str = "", fix: str = "", field: str = "") -> None:
        super().__init__(detail, fix)
        self.field = field


class InvalidCursor(Invalid):
    code = "invalid_cursor"
    title = "The page cursor is not one of ours"
    status = 400
    default_fix = "Pass `next_cursor` of the previous page unchanged, or none to start at the beginning."


class Unauthenticated(DialroomError):
    code = "unauthenticated"
    title = "The API key is missing or not valid"
    status = 401
    default_fix = "Send `Authorization: Bearer dr_…` with a key of your organisation."


class TokenRefused(DialroomError):
    code = "token_refused"
    title = "The token is not valid"
    status = 401
    default_fix = "Ask your application for a new token."


class Forbidden(DialroomError):
    code = "forbidden"
    title = "You may not do this"
    status = 403
    default_fix = "Use a key or token that has the right."


class NotFound(DialroomError):
    code = "not_found"
    title = "There is no such thing"
    status = 404
    default_fix = "Check the id; it must belong to your organisation."


class Conflict(DialroomError):
    code = "conflict"
    title = "It does not fit what is already there"
    status = 409
    default_fix = "Read the current state and decide again."


class CodeTaken(Conflict):
    code = "code_taken"
    title = "Another room already has this dial-in code"
    default_fix = "Choose another code, or leave it out to have one drawn."


class SlugTaken(Conflict):
    code = "slug_taken"
    title = "Another room already has this link"
    default_fix = "Choose another slug, or leave it out to have one drawn."


class NumberTaken(Conflict):
    code = "number_taken"
    title = "The number is already set up"
    default_fix = "Change or delete the number that is there."


class IdempotencyMismatch(Conflict):
    code = "idempotency_mismatch"
    title = "This idempotency key was used for a different request"
    default_fix = "Use a new key for a new request; repeat a request with exactly the same body."


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"
    title = "The first request with this idempotency key is still running"
    default_fix = "Wait a second and send the same request again."


class TooManyAttempts(DialroomError):
    """``retry_after`` in seconds."""

    code = "too_many_attempts"
    title = "Too many tries"
    status = 429
    default_fix = "Wait and try again later."

    def __init__(self, detail: str = "", fix: str = "", retry_after: float = 60.0) -> None:
        super().__init__(detail, fix)
        self.retry_after = retry_after


class TooManyConnections(TooManyAttempts):
    code = "too_many_connections"
    title = "Too many connections at once"
    default_fix = "Close connections that are not needed, or ask the operator to raise the limit."


class RoomLocked(DialroomError):
    code = "room_locked"
    title = "The room is locked"
    status = 403
    default_fix = "Ask a host to unlock the room."


class RoomFull(DialroomError):
    code = "room_full"
    title = "The room is full"
    status = 409
    default_fix = "Wait until somebody leaves, or raise the room's `max_participants`."


class RoomEnded(DialroomError):
    code = "room_ended"
    title = "The room has expired or was deleted"
    status = 410
    default_fix = "Use another room, or set a later `expires_at`."


class RoomNotOpen(DialroomError):
    code = "room_not_open"
    title = "The room is not open yet"
    status = 409
    default_fix = "Wait until `opens_at` or until a host has joined."


class RemovedFromSession(Forbidden):
    code = "removed_from_session"
    title = "A host removed this participant from the session"
    default_fix = "Ask a host; a new session starts afresh."


class Unavailable(DialroomError):
    code = "unavailable"
    title = "The server cannot do this at the moment"
    status = 503
    default_fix = "Try again in a few seconds."


class StoreUnavailable(Unavailable):
    code = "store_unavailable"
    title = "The database cannot be reached"
    default_fix = "Nothing was changed. Try again; an operator should look at the database."


class MediaUnavailable(Unavailable):
    code = "media_unavailable"
    title = "The media server cannot be reached"


class ConfigError(DialroomError):
    """Raised at start-up: ``detail`` names each wrong key, ``fix`` says what to write instead."""

    code = "config"
    title = "The configuration cannot be used"
    default_fix = "Correct the configuration and start again."
