"""Of what kind a setting is, by its name and by what is said beside it; and which may be set."""

from __future__ import annotations

import re

from mcp_sandbox.model.launch import SettingKind

MAX_NAME = 64
MAX_ABOUT = 300
"""Characters of an explanation that are looked at."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,63}", re.ASCII)
_NEVER = re.compile(
    r"PATH|HOME|USER|SHELL|PWD|OLDPWD|TERM|LANG|LC_.*|TZ|HOSTNAME|IFS|ENV|EDITOR|PAGER|DISPLAY"
    r"|TMPDIR|TEMP|TMP|BASH_.*|LD_.*|DYLD_.*|GLIBC_.*|MALLOC_.*|PYTHON.*|VIRTUAL_ENV|NODE_.*"
    r"|NPM_.*|DENO_.*|BUN_.*|UV_.*|PIP_.*|PIPX_.*|JAVA_.*|JDK_.*|_JAVA_.*|CLASSPATH|MAVEN_.*"
    r"|GRADLE_.*|RUBY.*|GEM_.*|BUNDLE_.*|PERL.*|GO(?:PATH|ROOT|DEBUG|FLAGS|PROXY|TRACEBACK|MAXPROCS)"
    r"|CARGO_.*|RUST_BACKTRACE|RUSTC.*|DOTNET_(?!SYSTEM_GLOBALIZATION_INVARIANT$).*|COMPLUS_.*|PHP.*|LUA_.*|GIT_.*|SSH_.*|GPG_.*"
    r"|SSL_.*|OPENSSL_.*|REQUESTS_CA_.*|CURL_.*|AWS_CA_BUNDLE|.*_PROXY|NO_PROXY|DOCKER_.*|XDG_.*"
    r"|DBUS_.*|SUDO_.*|KUBERNETES_.*|GITHUB_(?:ACTIONS|ENV|PATH|OUTPUT|WORKSPACE|STEP_SUMMARY)|CI"
)
"""Names that steer a loader, an interpreter or a client rather than the server."""
_STATUS = re.compile(
    r"(?:ERR|ERROR|E|HTTP|HPE|CERT|SIG|EXIT|WARN|WARNING|DEBUG|INFO|UNABLE|FST|P|TS)_.*"
    r"|.*_(?:NOT_FOUND|ERROR|ERR|REQUIRED|DENIED|FAILED|FAILURE|INVALID|EXCEPTION|IN_CHAIN"
    r"|SIGNATURE|ARGUMENT|EXPIRED|EXCEEDED|UNAVAILABLE|UNDEFINED|MISSING|ISSUER_CERT|TIMEOUT_ERR)"
    r"|INVALID_.*|MISSING_.*|CANNOT_.*|UNKNOWN_.*|UNAUTHENTICATED|NOT_.*|NO_SUCH_.*|NO_.*_FOUND"
)
"""What looks like a variable's name and is the name of an error."""


def may_be_set(name: str) -> bool:
    """Whether an environment variable of this name may be invented for a server."""
    return bool(_NAME.fullmatch(name)) and not _NEVER.fullmatch(name)


def is_status(name: str) -> bool:
    """Whether a word in capitals is rather the name of an error than of a setting."""
    return bool(_STATUS.fullmatch(name))


_PG = re.compile(r"^PG(?=[A-Z])")
"""``PGHOST`` and its kin, as libpq has them."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET = _set(
    "secret token password passwd passphrase pat credential bearer key apikey pwd auth jwt cookie "
    "passcode webhook"
)
_STORES = _set(
    "database db postgres postgresql pg mysql mariadb mongo mongodb redis amqp rabbitmq sqlite "
    "neo4j clickhouse mssql sqlserver duckdb"
)
_REFERS = _set("url uri dsn connection conn string endpoint link path file")
_NO_SECRET = _set(
    "file path dir url uri endpoint id host port name timeout limit type method mode max count"
)
"""What a name ends in that only speaks of a secret."""
_OF_A_FILE = _set(
    "config token tokens credential credentials key keys cert certificate spec schema openapi"
)
"""What a path of it leads to is a file."""
_KINDS: tuple[tuple[frozenset[str], SettingKind], ...] = tuple(
    (frozenset(words.split()), kind)
    for words, kind in (
        ("email mail", SettingKind.EMAIL),
        ("url uri endpoint origin webhook link site issuer", SettingKind.URL),
        ("host hostname domain server subdomain fqdn", SettingKind.HOST),
        ("port", SettingKind.PORT),
        ("dir directory directories dirs folder folders root roots vault workspace workdir cwd"
         " home storage", SettingKind.FOLDER),
        ("file filename filepath config configfile credentials keyfile certificate cert pem"
         " kubeconfig spec schema manifest", SettingKind.FILE),
        ("path paths", SettingKind.FOLDER),
        ("timeout seconds minutes ms ttl limit max min count size retries number num interval"
         " rate pages depth concurrency threads workers dimension dimensions temperature",
         SettingKind.NUMBER),
        ("enable enabled disable disabled debug verbose readonly ssl tls insecure allow use",
         SettingKind.BOOLEAN),
        ("id user username login name owner org organization organisation project account tenant"
         " region zone workspace team repo repository bucket namespace cluster profile model"
         " group channel guild instance environment index collection table", SettingKind.NAME),
    )
)  # fmt: skip
_SAID: tuple[tuple[re.Pattern[str], SettingKind], ...] = (
    (re.compile(r"\b(?:valid|absolute|full|base) ur[li]\b", re.IGNORECASE), SettingKind.URL),
    (re.compile(r"\b(?:connection string|dsn)\b", re.IGNORECASE), SettingKind.DATABASE),
    (re.compile(r"\be-?mail address\b", re.IGNORECASE), SettingKind.EMAIL),
    (re.compile(r"\b(?:valid |an? )?(?:integer|number)\b", re.IGNORECASE), SettingKind.NUMBER),
    (re.compile(r"\bboolean\b|\btrue or false\b", re.IGNORECASE), SettingKind.BOOLEAN),
    (re.compile(r"\b(?:directory|folder)\b", re.IGNORECASE), SettingKind.FOLDER),
    (re.compile(r"\b(?:api key|access token|password|secret)\b", re.IGNORECASE),
     SettingKind.SECRET),
)  # fmt: skip


def words(name: str) -> tuple[str, ...]:
    """``--api-key``, ``API_KEY``, ``apiKey`` -> ``("api", "key")``."""
    return tuple(word.lower() for word in _WORD.findall(_PG.sub("PG_", name[:MAX_NAME])))


def kind(name: str, about: str = "") -> SettingKind:
    """The kind of a setting. ``about``: what is said of it; counts where the name is silent."""
    parts = words(name)
    if special := _special(name, parts):
        return special
    for part in reversed(parts):
        for known, found in _KINDS:
            if part in known:
                return found
    about = about[:MAX_ABOUT]
    return next((found for wanted, found in _SAID if wanted.search(about)), SettingKind.TEXT)


def _special(name: str, parts: tuple[str, ...]) -> SettingKind | None:
    """The kinds that more than one word tells of."""
    said, last = frozenset(parts), parts[-1] if parts else ""
    if (said & _STORES and (said & _REFERS or last in _STORES)) or said >= {"connection", "string"}:
        return SettingKind.DATABASE
    if name.upper().endswith("APPLICATION_CREDENTIALS"):
        return SettingKind.FILE
    if last == "path" and len(parts) > 1 and parts[-2] in _OF_A_FILE:
        return SettingKind.FILE
    if last == "dsn":
        return SettingKind.URL
    return SettingKind.SECRET if parts and _is_secret(parts) else None


def _is_secret(parts: tuple[str, ...]) -> bool:
    last = parts[-1]
    if last in _NO_SECRET:
        # A webhook's address is what lets one write to it.
        return last in {"url", "uri"} and "webhook" in parts
    if last == "tokens" and "max" in parts:
        return False
    return last in _SECRET or last.removesuffix("s") in _SECRET
