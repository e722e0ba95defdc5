"""`RuleViolation`: the exception of the validators, with the field, its value, and the reason."""

from contextlib import suppress

_SHOWN_CHARACTERS = 200  # A value may be a string of 50 MB; an error message must stay short.

_MAY_BE_SECRET = ("input", "env[")
"""The beginnings of fields whose values an error message does not show: it ends up in logs."""


class RuleViolation(ValueError):
    """A value breaks a rule. It is raised before anything is sent to the daemon.

    Attributes:
        field: the name of the request's field or the option, with its index or key if there is one: ``env['PATH']``.
        value: the caller's value.
        reason: what is wrong with the value, and what is allowed.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(field, value, reason)
        self.field = field
        self.value = value
        self.reason = reason

    def __str__(self) -> str:
        shown = f"<{type(self.value).__name__}>"
        # repr fails for an int of more than 4,300 digits, and for lists that are nested too deeply.
        with suppress(ValueError, RecursionError):
            shown = shown if self.field.startswith(_MAY_BE_SECRET) else repr(self.value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
        return f"{self.field}={shown}: {self.reason}"
