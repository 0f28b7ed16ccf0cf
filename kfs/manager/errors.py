"""The error tree. Callers match by class, never by text.

    KfsError
    ├── DecodeError                 bytes that are not what they claim to be
    ├── ValidationError             an object breaks a rule; `.field` is its path
    ├── ConfigError                 configuration of ours is wrong or missing
    ├── TerminalError               reconciling again cannot help; do not retry
    │   └── KindMissing             the server has no such kind: its CRD is not installed
    ├── NotOwnedError               an object that must be ours belongs to somebody else
    ├── TransportError              no answer: connection, TLS or time-out
    └── ApiError                    the API server answered with a failure status
        ├── BadRequest        400
        ├── Unauthorized      401
        ├── Forbidden         403
        ├── NotFound          404
        ├── Conflict          409
        ├── AlreadyExists     409, reason AlreadyExists
        ├── Gone              410   the resourceVersion is too old
        ├── Invalid           422
        ├── TooManyRequests   429
        └── ServerError       5xx

Upstream: kubernetes/apimachinery `pkg/api/errors/errors.go` for the reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class KfsError(Exception):
    """Everything that kfs raises on purpose."""


class DecodeError(KfsError):
    """Bytes that are not what they claim to be."""


class ValidationError(KfsError):
    """An object breaks a rule; `field` is the path of what is wrong, or empty."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ConfigError(KfsError):
    """Configuration of ours is wrong or missing; the message names the key and the remedy."""


class TerminalError(KfsError):
    """Reconciling again cannot help; the key is dropped until the object changes."""


class KindMissing(TerminalError):
    """The server has no such kind. Controllers look at everything again when one of theirs appears."""


class NotOwnedError(KfsError):
    """An object of the wanted name exists and is controlled by somebody else, or by nobody."""


class TransportError(KfsError):
    """No answer from the server: connection, TLS or time-out. Worth a retry."""


class ApiError(KfsError):
    """The API server answered with a failure; `status` is the `Status` object it sent."""

    def __init__(self, message: str, *, code: int, reason: str = "", status: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.status: Mapping[str, Any] = status or {}
        self.retry_after_s: float | None = None


class BadRequest(ApiError):
    """400"""


class Unauthorized(ApiError):
    """401"""


class Forbidden(ApiError):
    """403: RBAC, or an admission webhook that refused."""


class NotFound(ApiError):
    """404: no such object, or no such kind (its CRD is not installed)."""


class Conflict(ApiError):
    """409: the object changed since it was read."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists: the name is taken."""


class Gone(ApiError):
    """410: the resourceVersion or continue token is too old; list again."""


class Invalid(ApiError):
    """422: the object breaks its schema or the server's rules."""


class TooManyRequests(ApiError):
    """429: wait `retry_after_s`."""


class ServerError(ApiError):
    """5xx"""


_BY_CODE: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def api_error(code: int, status: Mapping[str, Any], retry_after_s: float | None = None) -> ApiError:
    """The typed error for an HTTP status code and the `Status` object in its body."""
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or reason or f"the server answered {code}")
    cls = ServerError if code >= 500 else _BY_CODE.get(code, ApiError)
    if reason == "AlreadyExists":
        cls = AlreadyExists
    elif reason in ("Expired", "Gone"):
        cls = Gone
    error = cls(message, code=code, reason=reason, status=status)
    seconds = (status.get("details") or {}).get("retryAfterSeconds")
    error.retry_after_s = retry_after_s if retry_after_s is not None else seconds
    return error
