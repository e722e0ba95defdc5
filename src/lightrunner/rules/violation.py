"""The exception of the validators: which field, which value, and what is wrong with it."""

_SHOWN_CHARACTERS = 200  # A value may be a 50 MB string; an error message may not.


class RuleViolation(ValueError):
    """A value breaks a rule. Nothing was sent and nothing was made when this is raised.

    Attributes:
        field: the request's or the option's name, with an index or a key where there is one: ``env['PATH']``.
        value: the value as it was given.
        reason: what is wrong with it, and what would be right.
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
            # An int of more than 4,300 digits, or lists in lists without end: what broke the rule breaks its repr, too.
            shown = f"<{type(self.value).__name__}>"
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
        return f"{self.field}={shown}: {self.reason}"
