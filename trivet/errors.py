"""The error tree.

::

    TrivetError
    ├ ConfigError                  trivet.toml, a setting, or a missing extra
    │  └ MissingKeyError           a provider's key: falls back
    ├ RequestError            400  the request is wrong
    │  ├ UnknownModelError    404  no such name
    │  ├ ContextLengthError        another model may have room: falls back
    │  └ UnsupportedError          another model may be able: falls back
    ├ ProviderError           502  retried, then falls back; provider, provider_status, request_id, body, …
    │  ├ AuthError                 falls back, never retried
    │  ├ RateLimitError       429  retried after what it says, then falls back
    │  ├ OverloadedError      503  retried, then falls back
    │  └ TransportError            connect, timeout, cut stream: retried before content, then falls back
    ├ BudgetError             429
    ├ WeightsError            503  missing, truncated or altered weights: says how to mend it
    └ ToolError               500

Class attributes drive the server (`status`), the retry (`retry`) and the router (`fallback`), so that nothing
else needs a table of classes. Every message says what happened, to what, and what to do next.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AuthError",
    "BudgetError",
    "ConfigError",
    "ContextLengthError",
    "MissingKeyError",
    "OverloadedError",
    "ProviderError",
    "RateLimitError",
    "RequestError",
    "ToolError",
    "TransportError",
    "TrivetError",
    "UnknownModelError",
    "UnsupportedError",
    "WeightsError",
]


class TrivetError(Exception):
    """The root of every error that trivet raises on purpose.

    `status` is the HTTP status that a client of the server sees; `retry` says whether the same target may
    be asked again, `fallback` whether another target may be asked instead. `raw` is the provider's own error, a
    `trivet.types.Source`, where a client of the same protocol may be told it as it is, and `ending` the event in which
    it told so at the end of its stream; `route` has the attempts (each a
    `trivet.types.Attempt`) that a route made. `asked` says whether the request got as far as the target, and `sent`
    whether any of it may have left this machine. `answers` is the id of the request that the error answers, where a
    server tells it.
    """

    status: int = 500
    retry: bool = False
    fallback: ClassVar[bool] = False
    raw: object = None
    ending: object = None
    route: tuple[Any, ...] = ()
    asked: bool = True
    sent: bool = True
    answers: str | None = None

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status

    @property
    def message(self) -> str:
        return str(self)


class ConfigError(TrivetError):
    """A setting is wrong, or something that it needs is not installed."""


class MissingKeyError(ConfigError):
    """A provider needs a key that trivet has not. Another provider may have its own."""

    fallback = True


class RequestError(TrivetError):
    """The request is wrong. `field` is the path of the value at fault, as the client wrote it."""

    status = 400

    def __init__(self, message: str, *, field: str | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.field = field


class UnknownModelError(RequestError):
    """No model has this name. `nearest` is the name that the user may have meant."""

    status = 404

    def __init__(self, message: str, *, nearest: str | None = None) -> None:
        super().__init__(message, field="model")
        self.nearest = nearest


class ContextLengthError(RequestError):
    """The prompt, in tokens, does not fit into the model's context, in tokens. None where a provider does not say."""

    fallback = True

    def __init__(
        self, message: str, *, prompt_tokens: int | None, context_tokens: int | None, field: str | None = None
    ) -> None:
        super().__init__(message, field=field)
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class UnsupportedError(RequestError):
    """The model cannot do what the request asks. Another one may."""

    fallback = True


class ProviderError(TrivetError):
    """A provider or an engine failed, or answers with what is no answer. `provider_status`, `request_id` and `body` are
    what it said."""

    status = 502
    retry = True
    fallback = True

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        provider_status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        body: bytes | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, status=status)
        self.provider = provider
        self.provider_status = provider_status
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.body = body


class AuthError(ProviderError):
    """The provider refused the key that trivet is configured with (the client's own key was right: 502)."""

    retry = False


class RateLimitError(ProviderError):
    status = 429


class OverloadedError(ProviderError):
    status = 503


class TransportError(ProviderError):
    """The connection failed, timed out, or the stream was cut before its end."""


class BudgetError(TrivetError):
    """A key has not enough left of a budget or a limit, or nobody can say what the request may cost. `retry_after_s` is
    how long it takes until that begins anew, None where waiting does not help; `retry` is for what does soon."""

    status = 429
    asked = False

    def __init__(self, message: str, *, retry_after_s: float | None = None, retry: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.retry = retry


class WeightsError(TrivetError):
    """Weights are missing, truncated, altered or no weights at all. The message names the command that mends it."""

    status = 503
    fallback = True


class ToolError(TrivetError):
    """A tool that a model called has failed."""
