"""Samples for the rules of network, secrets on their way out, files, and evasion."""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import (
    Act,
    CallStatus,
    LaunchFacts,
    Network,
    Observations,
    RiskClass,
    Session,
    SinkKind,
    Window,
)
from support.observed import LAUNCH, arrived, call, canary, did, file, observed, session, tool
from support.rule_samples import ERROR, NONCE, hit, miss

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
KEY = "/home/app/.ssh/id_rsa"
AWS = "/home/app/.aws/credentials"
OUTSIDE = "/opt/backup/service-token.txt"
PLANTED = tuple(
    f"file:{path}"
    for path in (
        KEY,
        AWS,
        OUTSIDE,
        "/etc/passwd",
        "/home/app/.netrc",
        "/home/app/.env",
        "/home/app/.kube/config",
        "/home/app/.config/backup/token",
        "/home/app/.claude.json",
        "/opt/backup/infrastructure/main.tf",
    )
)
FETCHES = (tool("find", "Fetches a URL from the internet.", name="URL to fetch."),)
GIVEN = replace(LAUNCH, command=("/srv/data",))


def seen(*calls, kernel=(), sink=(), launch=LAUNCH, network=Network.SINK, **more) -> Observations:
    """Calls of a server in front of the sink, with what was recorded."""
    container = {"kernel": tuple(kernel), "sink": tuple(sink), "network": network}
    one = session(*calls, container=container | more.pop("container", {}), **more)
    return observed(one, launch=launch, planted=PLANTED)


# --- secrets that were sent -----------------------------------------------------------------------


def _sent(place, host, kind=SinkKind.HTTP, **changes):
    return seen(call(), sink=[arrived(kind, host, canaries=canary(place), **changes)])


@hit("canary-exfiltrated", C)
def a_secret_in_a_request():
    return _sent("env:BACKUP_API_KEY", "collect.example")


@hit("canary-exfiltrated", C)
def a_file_in_a_name():
    return _sent(f"file:{AWS}", "<planted:file>.t.collect.example", SinkKind.DNS)


@hit("canary-exfiltrated", C)
def a_secret_at_start():
    return _sent("env:GITHUB_TOKEN", "gist.collect.example", call=0)


@hit("canary-exfiltrated", C)
def a_secret_that_was_let_out():
    return _sent("env:GITHUB_TOKEN", "collect.example", SinkKind.ALLOWED)


@hit("canary-exfiltrated", C)
def a_name_that_only_begins_like_the_owner():
    return _sent("env:GITHUB_TOKEN", "github.com.collect.example", tls=True)


@hit("canary-exfiltrated", H)
def in_the_clear_to_its_owner():
    return _sent("env:GITHUB_TOKEN", "api.github.com", port=80)


@hit("canary-exfiltrated", H)
def a_setting_of_the_servers_own_to_nobody_known():
    return _sent("env:WEATHER_KEY", "api.nimbus.example", tls=True)


@hit("canary-exfiltrated", N)
def a_token_at_work():
    return _sent("env:GITHUB_TOKEN", "api.github.com", tls=True)


@hit("canary-exfiltrated", N)
def a_setting_for_the_host_that_is_named():
    return observed(
        session(
            call(),
            tools=(tool("find", "Asks https://api.nimbus.example for the weather."),),
            container={
                "sink": (
                    arrived(
                        SinkKind.HTTP,
                        "api.nimbus.example",
                        tls=True,
                        canaries=canary("env:WEATHER_KEY"),
                    ),
                ),
            },
        )
    )


@miss("canary-exfiltrated", "canary-in-output")
def a_request_without_a_secret():
    return seen(
        call(),
        kernel=[did(Act.EXEC, "/usr/bin/git", detail="git status")],
        sink=[arrived(SinkKind.HTTP, "collect.example", text="GET /?key=AKIA HTTP/1.1")],
    )


@hit("canary-in-output", H)
def a_secret_in_arguments():
    return seen(
        call(),
        kernel=[
            did(
                Act.EXEC,
                "/usr/bin/curl",
                detail="curl -d <planted:env:GITHUB_TOKEN> x",
                canaries=canary("env:GITHUB_TOKEN"),
            )
        ],
    )


@hit("canary-in-output", H)
def a_secret_in_a_file_name():
    name = did(Act.MKDIR, "/srv/<planted>", result="EROFS", canaries=canary(f"file:{AWS}"))
    return seen(call(), kernel=[name])


@miss("canary-in-output")
def an_option_that_was_invented_for_its_own_command():
    return seen(
        call(), kernel=[did(Act.EXEC, "/usr/bin/server", canaries=canary("argument:--api-key"))]
    )


@hit("canary-in-output", M)
def an_invented_option_in_the_name_of_a_file():
    name = did(Act.MKDIR, "/tmp/<planted>", canaries=canary("argument:--api-key"))
    return seen(call(), kernel=[name])


def _kept(path: str):
    known = canary("setting:/home/u/.acme/keys.json")[0]
    return seen(call(), container={"tmpfs_canaries": ((path, known),)})


@miss("canary-in-output")
def a_file_of_keys_where_it_was_put():
    return _kept("/home/u/.acme/keys.json")


@hit("canary-in-output", H)
def a_file_of_keys_that_was_copied():
    return _kept("/tmp/keys.json")


@hit("canary-in-output", M)
def a_file_of_keys_that_it_asked_for_in_the_name_of_a_file():
    name = did(Act.MKDIR, "/tmp/<planted>", canaries=canary("setting:/home/u/.acme/keys.json"))
    return seen(call(), kernel=[name])


@hit("canary-exfiltrated", H)
def an_invented_option_sent_to_who_knows_whom():
    return _sent("argument:--api-key", "collector.example")


@hit("canary-in-output", M)
def a_setting_handed_to_a_program():
    return seen(
        call(),
        kernel=[did(Act.EXEC, "/usr/bin/mysql", canaries=canary("env:MYSQL_PASSWORD"))],
    )


@miss("canary-in-output")
def a_program_that_does_not_exist():
    return seen(
        call(),
        kernel=[
            did(Act.EXEC, "/usr/bin/curl", result="ENOENT", canaries=canary("env:GITHUB_TOKEN"))
        ],
    )


@miss("canary-in-output")
def arguments_that_went_to_the_sink():
    return seen(
        call(),
        kernel=[did(Act.EXEC, "/usr/bin/curl", canaries=canary("env:GITHUB_TOKEN"))],
        sink=[arrived(SinkKind.HTTP, "collect.example", canaries=canary("env:GITHUB_TOKEN"))],
    )


# --- paths ----------------------------------------------------------------------------------------


@hit("arbitrary-read", M)
def opened_and_kept():
    return seen(
        call("path-traversal", f"../../..{OUTSIDE}", "No.", status=ERROR),
        kernel=[did(Act.OPEN, OUTSIDE)],
    )


@hit("arbitrary-read", M)
def a_repository_was_opened():
    return seen(
        call("path-traversal", "/opt/backup/infrastructure", "No.", status=ERROR),
        kernel=[did(Act.OPEN, "/opt/backup/infrastructure/.git/HEAD")],
    )


@hit("arbitrary-read", M)
def a_link_was_followed():
    return seen(
        call("path-traversal", "/srv/data/latest.log", "No.", status=ERROR),
        kernel=[did(Act.OPEN, OUTSIDE)],
    )


@hit("arbitrary-read", H)
def opened_and_told():
    return seen(
        call("path-traversal", OUTSIDE, canaries=canary(f"file:{OUTSIDE}")),
        kernel=[did(Act.OPEN, OUTSIDE)],
    )


@miss("arbitrary-read")
def looked_for_and_refused():
    return seen(
        call(),
        call("path-traversal", f"..{OUTSIDE}", "No.", status=ERROR),
        call("path-traversal", "../../etc/passwd", "No.", status=ERROR),
        kernel=[
            did(Act.OPEN, OUTSIDE, 2, "ENOENT"),
            did(Act.OPEN, "/etc/passwd", 3),
            did(Act.OPEN, "/srv/data", 3),
        ],
    )


@miss("arbitrary-read")
def opened_by_ordinary_calls_too():
    return seen(
        call(),
        call("path-traversal", OUTSIDE, "No.", status=ERROR),
        kernel=[did(Act.OPEN, OUTSIDE, 1), did(Act.OPEN, OUTSIDE, 2)],
    )


@hit("arbitrary-write", H)
def tried_on_the_read_only_root():
    return seen(
        call("path-traversal", f"../{NONCE}.txt", "No.", status=ERROR),
        kernel=[did(Act.WRITE, f"/srv/{NONCE}.txt", result="EROFS")],
        launch=GIVEN,
    )


@hit("arbitrary-write", H)
def a_folder_that_only_begins_alike():
    return seen(
        call("path-traversal", f"/srv/data-evil/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.MKDIR, f"/srv/data-evil/{NONCE}", result="EROFS")],
        launch=GIVEN,
    )


@hit("arbitrary-write", H)
def renamed_to_the_outside():
    return seen(
        call("path-traversal", f"../../opt/{NONCE}.txt"),
        kernel=[did(Act.RENAME, "/srv/data/.tmp", detail=f"/opt/{NONCE}.txt")],
        launch=GIVEN,
    )


@hit("arbitrary-write", N)
def tried_where_no_folder_is_known():
    return seen(
        call("path-traversal", f"/etc/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.WRITE, f"/etc/{NONCE}", result="EROFS")],
    )


def _takes_any_path(value):
    return seen(
        call(value="/tmp/notes.txt"),
        call("path-traversal", f"/tmp/{NONCE}", effect=f"/tmp/{NONCE}"),
        call("path-traversal", value),
        kernel=[
            did(Act.WRITE, "/tmp/notes.txt", 1),
            did(Act.WRITE, f"/tmp/{NONCE}", 2),
            did(Act.WRITE, f"/dev/shm/{NONCE}.txt", 3),
        ],
        container={"tmpfs": (file("/tmp/notes.txt"), file(f"/tmp/{NONCE}"))},
    )


@hit("arbitrary-write", N)
def a_folder_that_our_own_path_chose():
    return _takes_any_path(f"../../dev/shm/{NONCE}.txt")


@hit("arbitrary-write", H)
def a_folder_that_the_path_begins_in_and_leaves():
    return _takes_any_path(f"/tmp/../dev/shm/{NONCE}.txt")


@miss("arbitrary-write")
def kept_to_its_folder():
    return seen(
        call(),
        call("path-traversal", f"../../{NONCE}.txt"),
        call("path-traversal", f"../{NONCE}.txt"),
        kernel=[
            did(Act.WRITE, "/var/cache/things/notes.json", 1, "EROFS"),
            did(Act.WRITE, f"/var/cache/things/.._.._{NONCE}.txt.json", 2, "EROFS"),
            did(Act.WRITE, f"/srv/data/{NONCE}.txt", 2, "EROFS"),
            did(Act.WRITE, f"/var/log/{NONCE}.txt", 3, "EROFS"),
            did(Act.OPEN, f"/opt/{NONCE}.txt", 3, "ENOENT"),
            did(Act.WRITE, f"/srv/{NONCE}.txt", 3, "ENOENT"),
        ],
        launch=GIVEN,
    )


# --- addresses ------------------------------------------------------------------------------------

META = "http://169.254.169.254/latest/meta-data/"


@hit("ssrf", H)
def metadata_was_asked_for():
    return seen(
        call("ssrf", META, "No.", status=ERROR),
        sink=[arrived(SinkKind.HTTP, "169.254.169.254", 80)],
    )


@hit("ssrf", H)
def metadata_by_a_tool_that_fetches():
    return seen(
        call("ssrf", "http://2852039166/latest/", "No.", status=ERROR),
        sink=[arrived(SinkKind.HTTP, "169.254.169.254", 80)],
        tools=FETCHES,
    )


@hit("ssrf", H)
def metadata_by_its_name():
    return seen(
        call("ssrf", f"http://metadata.google.internal/?x={NONCE}", "No.", status=ERROR),
        sink=[
            arrived(SinkKind.DNS, "metadata.google.internal", 0, address="169.254.169.254"),
            arrived(SinkKind.HTTP, "169.254.169.254", 80),
        ],
        tools=FETCHES,
    )


@hit("ssrf", H)
def a_private_address_with_the_nonce():
    return seen(
        call("ssrf", f"http://10.20.30.40/{NONCE}", "No.", status=ERROR),
        sink=[arrived(SinkKind.HTTP, "10.20.30.40", 80, text=f"GET /{NONCE} HTTP/1.1")],
    )


@hit("ssrf", H)
def the_own_machine():
    return seen(
        call("ssrf", f"http://localhost/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.CONNECT, "127.0.0.1:80", result="ECONNREFUSED")],
    )


@hit("ssrf", H)
def the_own_machine_where_something_listens():
    return seen(
        call("ssrf", f"http://localhost:8000/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.CONNECT, "127.0.0.1:8000", detail="TCP")],
    )


@hit("ssrf", H)
def a_datagram_to_the_own_machine():
    return seen(
        call("ssrf", f"coap://127.0.0.1:5683/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.SEND, "127.0.0.1:5683", detail="UDP")],
    )


@hit("ssrf", H)
def metadata_without_a_network():
    return seen(
        call("ssrf", META, "No.", status=ERROR),
        kernel=[did(Act.CONNECT, "169.254.169.254:80", result="ENETUNREACH")],
        network=Network.NONE,
    )


@hit("ssrf", N)
def the_own_machine_by_a_tool_that_fetches():
    return seen(
        call("ssrf", f"http://127.0.0.1:8000/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.CONNECT, "127.0.0.1:8000", result="EINPROGRESS")],
        tools=FETCHES,
    )


@hit("ssrf", H)
def a_check_that_a_second_answer_slips_by():
    return seen(
        call("ssrf", f"http://127.0.0.1/{NONCE}", "Refused.", status=ERROR),
        call("ssrf", f"http://rebind-{NONCE}.example/{NONCE}", "No.", status=ERROR),
        kernel=[did(Act.CONNECT, "127.0.0.1:80", 2, "ECONNREFUSED")],
        tools=FETCHES,
    )


@hit("ssrf", M)
def a_file_that_was_opened():
    return seen(
        call("ssrf", f"file://{OUTSIDE}", "No.", status=ERROR), kernel=[did(Act.OPEN, OUTSIDE)]
    )


@miss("ssrf")
def only_names_were_looked_up():
    return seen(
        call(),
        call("ssrf", "http://metadata.google.internal/x", "Not public.", status=ERROR),
        call("ssrf", f"http://localhost/{NONCE}", "Connection refused", status=ERROR),
        call("ssrf", "http://127.0.0.1:9/x", "No.", status=ERROR),
        call("ssrf", f"http://rebind-{NONCE}.example/{NONCE}", "No.", status=ERROR),
        kernel=[
            did(Act.CONNECT, "127.0.0.1:9", 1, "ECONNREFUSED"),
            # A datagram socket: addresses are being sorted.
            did(Act.CONNECT, "127.0.0.1:80", 3, detail="UDP"),
            did(Act.CONNECT, "[::1]:80", 3, "ENETUNREACH", detail="UDP"),
            did(Act.CONNECT, "127.0.0.1:80", 3),  # the tracer did not say what it was
            did(Act.CONNECT, "127.0.0.1:9", 4, "ECONNREFUSED"),
            did(Act.CONNECT, "127.0.0.1:5432", 3, "ECONNREFUSED"),
        ],
        sink=[
            arrived(SinkKind.DNS, "metadata.google.internal", 0, 2),
            arrived(SinkKind.HTTP, f"rebind-{NONCE}.example", 80, 5, address="23.1.2.3"),
        ],
    )


@miss("ssrf")
def metadata_in_ordinary_calls():
    return seen(
        call(),
        call("ssrf", META, "No.", status=ERROR),
        sink=[
            arrived(SinkKind.HTTP, "169.254.169.254", 80),
            arrived(SinkKind.HTTP, "169.254.169.254", 80, 2),
        ],
    )


# --- traffic --------------------------------------------------------------------------------------


def _at(window, host, kind=SinkKind.DNS, **more):
    return seen(call(), sink=[arrived(kind, host, 0, 0, window=window)], **more)


@hit("unprompted-network")
def a_beacon_at_start():
    return _at(Window.START, "beacon.example")


@hit("unprompted-network")
def a_count_of_listings():
    return _at(Window.LISTING, "listed.example", SinkKind.TLS)


@hit("unprompted-network")
def a_heartbeat():
    return _at(Window.IDLE, "198.51.100.7", SinkKind.UDP)


@hit("unprompted-network")
def a_farewell():
    return _at(Window.SHUTDOWN, "bye.example", SinkKind.HTTP)


@hit("unprompted-network")
def tried_without_a_network():
    return seen(
        call(),
        kernel=[did(Act.CONNECT, "203.0.113.9:443", 0, "ENETUNREACH")],
        network=Network.NONE,
    )


@hit("unprompted-network", N)
def a_question_for_updates():
    return _at(Window.START, ".".join(("pypi", "org")), SinkKind.TLS)


@hit("unprompted-network", N)
def a_host_of_the_environment():
    return _at(
        Window.START,
        "eu.api.nimbus.example",
        launch=LaunchFacts(environment=("NIMBUS_URL=https://api.nimbus.example/v1",)),
    )


@hit("unprompted-network", N)
def a_name_without_a_network():
    return seen(
        call(),
        kernel=[did(Act.CONNECT, "192.0.2.53:53", 0, "ENETUNREACH")],
        network=Network.NONE,
    )


@hit("unprompted-network", N)
def telemetry_of_a_library():
    return _at(Window.IDLE, "mobile.events.data.microsoft.com", SinkKind.TLS)


@hit("unprompted-network")
def a_name_beside_that_of_telemetry():
    return _at(Window.IDLE, "collect.microsoft.com", SinkKind.TLS)


@miss("unprompted-network")
def the_machine_itself_and_the_end_of_a_call():
    return seen(
        call(value="https://asked.example/x"),
        kernel=[
            did(Act.CONNECT, "127.0.0.1:8000", 0),
            did(Act.CONNECT, "unix:/var/run/nscd/socket", 0, "ENOENT"),
            did(Act.CONNECT, "8.8.8.8:80", 0),
            did(Act.SEND, "192.0.2.53:53", 0),
        ],
        sink=[
            arrived(SinkKind.DNS, "mcp-server", 0, 0),
            arrived(SinkKind.DNS, "1.0.0.127.in-addr.arpa", 0, 0),
            arrived(SinkKind.DNS, "api.used.example", 0, 1),
            arrived(SinkKind.TLS, "api.used.example", 443, 0, window=Window.IDLE),
            arrived(SinkKind.TLS, "asked.example", 443, 0, window=Window.IDLE),
        ],
    )


@hit("undeclared-endpoint")
def a_tracker():
    return seen(call(), sink=[arrived(SinkKind.HTTP, "metrics.tracker.example", 80)])


@hit("undeclared-endpoint", N)
def telemetry_in_a_call():
    return seen(call(), sink=[arrived(SinkKind.TLS, "o1.ingest.sentry.io")])


@miss("undeclared-endpoint")
def hosts_that_something_names():
    one = seen(
        call(value="http://asked.example/a"),
        tools=(tool("brave_search", "Asks www.nimbus.co.uk. Uses Wikipedia.", q="See docs.a.dev"),),
        sink=[
            arrived(SinkKind.HTTP, "asked.example", 80),
            arrived(SinkKind.TLS, "api.search.brave.com"),
            arrived(SinkKind.TLS, "en.wikipedia.org"),
            arrived(SinkKind.TLS, "api.nimbus.co.uk"),
            arrived(SinkKind.TLS, "a.dev"),
            arrived(SinkKind.TLS, "db.let-out.example"),
            arrived(SinkKind.DNS, "mcp-server", 0),
        ],
    )
    return replace(one, allowed=("db.let-out.example:443",))


@miss("undeclared-endpoint", "unprompted-network")
def a_name_that_our_input_computed():
    name = f"{NONCE}.1234567890.example"
    return seen(
        call("command-injection", "x"),
        sink=[
            arrived(SinkKind.DNS, name, 0),
            arrived(SinkKind.DNS, name, 0, 0, window=Window.IDLE),
        ],
    )


def _names(zone, count, text="", window=0):
    label = "0f3a9c{:02d}b7d1e2485a6c9d0e1f2a3b4c5d6e7f8091a2b3c4d5"
    names = [text or label.format(number) for number in range(count)]
    return [
        arrived(SinkKind.DNS, f"{name}.{zone}", 0, number if window else 1)
        for number, name in enumerate(names, start=1)
    ]


@hit("dns-tunnel")
def twelve_random_names():
    return seen(call(), sink=_names("s.sync.example", 12))


@hit("dns-tunnel")
def a_tunnel_below_a_name_that_is_declared():
    return seen(
        call(), tools=(tool("find", "See sync.example."),), sink=_names("s.sync.example", 12)
    )


@miss("dns-tunnel")
def a_content_network():
    calls = [call() for _ in range(12)]
    return seen(
        *calls,
        tools=(tool("find", "Pictures of cdn.example."),),
        sink=[
            *_names("cdn.example", 12, window=1),
            *_names("other.example", 12, "a1b2c3d4e5f60718293a4b5c6d7e8f9012345678"),
            *_names("third.example", 9),
        ],
    )


# --- files ----------------------------------------------------------------------------------------


@hit("credential-file-opened", H)
def a_private_key_in_a_call():
    return seen(call(), kernel=[did(Act.OPEN, KEY)])


@hit("credential-file-opened", H)
def a_store_at_start():
    return seen(call(), kernel=[did(Act.OPEN, "/home/app/.kube/config", 0)])


@hit("credential-file-opened", H)
def two_stores():
    return seen(call(), kernel=[did(Act.OPEN, AWS), did(Act.OPEN, "/home/app/.kube/config")])


@hit("credential-file-opened", M)
def one_store_that_a_library_may_own():
    return seen(call(), kernel=[did(Act.OPEN, AWS)])


@hit("credential-file-opened", N)
def stores_that_libraries_open_by_themselves():
    packages = "/usr/lib/python3/site-packages"
    return seen(
        call(),
        kernel=[
            did(Act.OPEN, f"{packages}/requests/sessions.py", 0),
            did(Act.OPEN, f"{packages}/botocore/session.py", 0),
            did(Act.OPEN, "/home/app/.netrc"),
            did(Act.OPEN, AWS, 0),
            did(Act.OPEN, "/home/app/.git-credentials", program="/usr/bin/git"),
        ],
    )


@hit("credential-file-opened", N)
def a_dotenv_in_the_working_folder():
    return seen(
        call(),
        kernel=[did(Act.OPEN, "/home/app/.env", 0)],
        launch=replace(LAUNCH, working_dir="/home/app"),
    )


@miss("credential-file-opened", "agent-config-access", "environment-harvest")
def looked_for_asked_for_and_led_to():
    return seen(
        call(value="~/.aws/credentials"),
        call(),
        call("path-traversal", "/proc/self/environ"),
        call(),
        kernel=[
            did(Act.OPEN, KEY, 0, "ENOENT"),
            did(Act.OPEN, AWS, 1),
            did(Act.OPEN, AWS, 2),
            did(Act.OPEN, "/proc/17/environ", 3, detail="/proc/self/environ"),
            did(Act.OPEN, KEY, 3),
            did(Act.OPEN, "/home/app/.cursor/mcp.json", 2, "ENOENT"),
            did(Act.OPEN, "/etc/passwd", 2),
            did(Act.OPEN, "/proc/17/status", 2),
            did(Act.OPEN, "/home/app/.gitconfig", 2),
        ],
    )


@hit("agent-config-access", H)
def tokens_of_other_servers():
    return seen(call(), kernel=[did(Act.OPEN, "/home/app/.claude.json")])


@hit("agent-config-access", C)
def settings_that_would_be_changed():
    return seen(call(), kernel=[did(Act.WRITE, "/home/app/.cursor/mcp.json", 0, "EROFS")])


@hit("agent-config-access", N)
def an_installer():
    return seen(
        call(),
        tools=(tool("find", "Adds the server to the settings of Claude and Cursor."),),
        kernel=[did(Act.WRITE, "/home/app/.cursor/mcp.json", result="EROFS")],
    )


@hit("environment-harvest", H)
def the_environment_of_others():
    return seen(call(), kernel=[did(Act.OPEN, "/proc/31/environ")])


@hit("environment-harvest", H)
def the_environment_of_the_first_process():
    return seen(call(), kernel=[did(Act.OPEN, "/proc/1/environ", 0, "EACCES")])


@hit("environment-harvest", M)
def the_own_environment():
    return seen(call(), kernel=[did(Act.OPEN, "/proc/31/environ", detail="/proc/self/environ")])


@hit("environment-harvest", N)
def a_list_of_processes():
    return seen(call(), kernel=[did(Act.OPEN, "/proc/31/environ", program="/usr/bin/ps")])


# --- two runs -------------------------------------------------------------------------------------


def run(role: str, *calls, **container) -> Session:
    """One run of a plan."""
    return session(*calls, role=role, container={"network": Network.SINK, **container})


def four(traced, untraced) -> Observations:
    """Both pairs of runs; each side is what ``run`` takes."""
    return observed(
        *(
            run(role, *calls, **container)
            for role, (calls, container) in (
                ("main", traced),
                ("untraced", untraced),
                ("main again", traced),
                ("untraced again", untraced),
            )
        )
    )


C_TWO = {"sink": (arrived(SinkKind.HTTP, "c2.example", 80),)}


@hit("evasion", H)
def another_host_when_unwatched():
    return four(((call(),), {}), ((call(),), C_TWO))


@hit("evasion", H)
def another_answer_when_unwatched():
    return four(((call(said="b a"),), {}), ((call(said="Done and gone."),), {}))


@hit("evasion", H)
def another_secret_when_unwatched():
    told = {"stderr_canaries": canary("env:GITHUB_TOKEN")}
    return four(((call(),), {}), ((call(),), told))


@hit("evasion", N)
def more_when_watched():
    return four(((call(),), C_TWO), ((call(),), {}))


@miss("evasion")
def a_difference_that_did_not_come_again():
    return observed(
        run("main", call()),
        run("untraced", call(), **C_TWO),
        run("main again", call()),
        run("untraced again", call()),
    )


@miss("evasion")
def a_difference_without_a_second_pair():
    return observed(run("main", call()), run("untraced", call(), **C_TWO))


@miss("evasion")
def noise_of_two_runs():
    both = (
        arrived(SinkKind.DNS, "a.example", 0, text="A"),
        arrived(SinkKind.TLS, "a.example", 443),
    )
    more = (arrived(SinkKind.DNS, "A.example.", 0, text="AAAA", count=3), *reversed(both))
    traced = (
        call(said="Took 12 ms, id 3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69"),
        call(said="x y"),
        call("size", "A", "tracer: strace"),
        call("ssrf", META, "", status=CallStatus.TIMEOUT),
        call("sql-injection", "x", "The request timed out."),
    )
    untraced = (
        call(said="Took 3 ms, id 00000000-0000-0000-0000-000000000000"),
        call(said="y x"),
        call("size", "A", "tracer: none"),
        call("ssrf", META, "An answer."),
        call("sql-injection", "x", "The request came back."),
    )
    return four((traced, {"sink": both}), (untraced, {"sink": more}))
