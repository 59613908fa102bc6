"""What can go wrong when talking to the API server.

ApiError
├── NotLeading    not sent: another operator may be leading. Retry, if this one leads again.
├── Unreachable   no answer: connection refused, timed out, reset. Retry.
├── Overloaded    429, 5xx: the server asks for patience, maybe in seconds. Retry.
├── Conflict      409: somebody else was faster, or another uid. Look again.
├── NotFound      404: the object is gone.
└── Rejected      403, 422 and all other 4xx: the server will not take this. Tell the user.
"""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """A request that did not succeed; `code` is the HTTP status, 0 where there was no answer.

    `patience` is the number of seconds that the server asked to wait before the next try, 0 where it did not say.
    """

    def __init__(self, code: int, message: str, patience: float = 0.0) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code
        self.message = message
        self.patience = patience


class NotLeading(ApiError):
    """A write that was not sent, because another operator may be leading."""


class Unreachable(ApiError):
    """No answer came. Retry."""


class Overloaded(ApiError):
    """The server is busy or broken for now. Retry."""


class Conflict(ApiError):
    """The object is not as the request assumed. Look again."""


class NotFound(ApiError):
    """The object does not exist."""


class Rejected(ApiError):
    """The server understood and refused; the same request will be refused again."""


def from_status(code: int, message: str, patience: float = 0.0) -> ApiError:
    """Return the error for an HTTP status; `patience` in seconds, as its Retry-After has it."""
    if code == HTTPStatus.NOT_FOUND:
        return NotFound(code, message)
    if code == HTTPStatus.CONFLICT:
        return Conflict(code, message)
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Overloaded(code, message, patience)
    return Rejected(code, message)
