"""What can go wrong when talking to the API server.

ApiError
├── Unreachable   no answer: connection refused, timed out, reset. Retry.
├── Overloaded    429, 5xx: the server asks for patience. Retry.
├── Conflict      409: somebody else was faster, or another uid. Look again.
├── NotFound      404: the object is gone.
└── Rejected      403, 422 and all other 4xx: the server will not take this. Tell the user.
"""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """A request that did not succeed; `code` is the HTTP status, 0 where there was no answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code
        self.message = message


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


def from_status(code: int, message: str) -> ApiError:
    """Return the error for an HTTP status."""
    if code == HTTPStatus.NOT_FOUND:
        return NotFound(code, message)
    if code == HTTPStatus.CONFLICT:
        return Conflict(code, message)
    if code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Overloaded(code, message)
    return Rejected(code, message)
