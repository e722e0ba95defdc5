"""`RuleViolation`: the exception of the validators, with the field, its value, and the reason."""

_SHOWN_CHARACTERS = 200  # A value may be a string of 50 MB; an error message must stay short.


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
        try:
            shown = repr(self.value)
        except (ValueError, RecursionError):
            # repr fails for an int of more than 4,300 digits, and for lists that are nested too deeply.
            shown = f"<{type(self.value).__name__}>"
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
        return f"{self.field}={shown}: {self.reason}"
