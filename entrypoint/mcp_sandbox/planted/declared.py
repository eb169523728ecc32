"""Which secrets an image says that its server takes: settings left empty for the user to fill in.

A setting counts when its name ends like a secret's and its value is empty or plainly a placeholder.
One with a real value is the image's own and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_sandbox.model import LaunchFacts

MAX_VALUE = 200
"""Characters; a longer value is no placeholder."""

_SECRET = re.compile(
    r"(?:.*_)?(?:API_?KEY|APIKEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY|SERVICE_KEY|ROLE_KEY|AUTH_KEY"
    r"|ADMIN_KEY|ENCRYPTION_KEY|SIGNING_KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PAT|CREDENTIALS?"
    r"|BEARER|DSN|CONNECTION_STRING"
    r"|(?:DATABASE|DB|POSTGRES|POSTGRESQL|PG|MYSQL|MONGO|MONGODB|REDIS|AMQP|RABBITMQ)_(?:URL|URI))"
    r"|(?:ANTHROPIC|AZURE|BRAVE|COHERE|GEMINI|GOOGLE|MISTRAL|OPENAI|TAVILY|EXA)(?:_.*)?_KEY"
)
_PLACEHOLDER = re.compile(
    r"|<[^<>]*>|\$\{?\w*\}?|\[[^\[\]]*\]|\{\{?[^{}]*\}\}?|\W+|none|null|nil|undefined|unset|todo|tbd"
    r"|(?:.*[\W_])?(?:change[\W_]?(?:me|it|this)|replace[\W_]?(?:me|this|with.*)|place[\W_]?holder"
    r"|dummy|fake|example|sample|test|secret|password|insert.*|set[\W_]me|fill[\W_].*)"
    r"|(?:\w{1,12}[\W_])?your(?:[\W_].*|\w*)|(?:\w{1,12}[\W_])?(?:x{3,}|\*{3,}|\.{3,})",
    re.IGNORECASE,
)


def declared(launch: LaunchFacts, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the image's ``ENV`` that wait for a secret, in order.

    ``given``: ``NAME=VALUE`` of the user, who has the last word on each of them.
    """
    taken = {pair.partition("=")[0] for pair in given}
    settings = dict(pair.partition("=")[::2] for pair in launch.environment)
    return tuple(
        name
        for name, value in settings.items()
        if name not in taken
        and _SECRET.fullmatch(name.upper())
        and len(value) <= MAX_VALUE
        and _PLACEHOLDER.fullmatch(value.strip().strip("\"'"))
    )
