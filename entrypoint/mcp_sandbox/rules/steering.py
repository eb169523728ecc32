"""Texts that steer the model: towards this tool, at another server's, or into telling too much."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.model import Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.metadata import hit_on
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import Kind, place, quote
from mcp_sandbox.rules.wording import plain

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


@rule(
    RuleInfo(
        id="coercive-wording",
        title="A description presses the model to prefer this tool",
        class_=M,
        evidence=Evidence.E5,
        what="A text demands precedence: to be called first, before or instead of all other tools, "
        "or without asking the user. Medium when it speaks against the tools of other servers.",
        proof="The words themselves, quoted in the message.",
        quiet_when="The order of a documented workflow: the sentence names another tool of the "
        "same server.",
        fix="Say what the tool is good for, and let the model choose.",
        cwe=(1427,),
    )
)
def coercive_wording(context: Context) -> Iterator[Hit]:
    """Demands for precedence."""
    for surface in context.surfaces:
        if surface.kind is not Kind.DESCRIPTION:
            continue
        form = plain(surface.text)
        if not any(trigger in form for trigger in _COERCIVE_TRIGGERS):
            continue
        for sentence in re.split(r"(?<=[.!?;]) ", form):
            match = _COERCIVE.search(sentence)
            if match is None or _names_sibling(context, surface.subject, sentence):
                continue
            against = _AGAINST_OTHERS.search(sentence)
            yield hit_on(
                surface,
                match[0],
                f"{place(surface.pointer)} demands precedence: “{quote(sentence, 200)}”.",
                M if against else N,
                Confidence.MEDIUM if against else Confidence.LOW,
            )


_COERCIVE_TRIGGERS = ("first", "other tool", "other server", "priority", "without asking", "before")
_COERCIVE = re.compile(
    r"\b(?:must|always|should)\b[^.!?]{0,40}\b(?:call|use|invoke|run)(?:ed)?\b[^.!?]{0,40}\bfirst\b"
    r"|\b(?:call|use|invoke|run) (?:this|me)(?: tool| function)? (?:first|before)\b"
    r"|\b(?:before|instead of|over) (?:using |calling |invoking )?(?:any|all|every)"
    r"(?: of the)? other (?:tools?|servers?|mcp)\b"
    r"|\b(?:never|do not|don't) (?:use|call|trust) (?:any |all )?other (?:tools?|servers?)\b"
    r"|\bignore (?:all |any )?other (?:tools?|servers?)\b"
    r"|\b(?:highest|top) priority\b[^.!?]{0,40}\btools?\b"
    r"|\bwithout asking (?:the user|for (?:permission|confirmation|consent))\b"
)
_AGAINST_OTHERS = re.compile(
    r"\b(?:never|do not|don't) (?:use|call|trust) (?:any |all )?other (?:tools?|servers?)\b"
    r"|\bignore (?:all |any )?other (?:tools?|servers?)\b|\bother (?:mcp )?servers?\b"
)


def _names_sibling(context: Context, subject: str, sentence: str) -> bool:
    """The sentence speaks of another tool of this server."""
    own = subject.partition("/")[2].lower()
    words = {word.strip(".-") for word in re.findall(r"[\w.-]+", sentence)}
    return bool((words & context.lower_names) - {own})


@rule(
    RuleInfo(
        id="tool-shadowing",
        title="A text steers another server's tool, or a name imitates one",
        class_=H,
        evidence=Evidence.E5,
        what="A description says how some other tool has to be used, a tool that this server does "
        "not have, or a name differs from a well-known or a sibling tool's only by look-alike "
        "digits. Hosts show the tools of all servers to one model, so the order takes effect "
        "there.",
        proof="The words, or the two names, in the message.",
        quiet_when="The tool that is spoken of is the server's own.",
        fix="Speak of your own tools only; choose a name that cannot be confused.",
        cwe=(1427, 1007),
    )
)
def tool_shadowing(context: Context) -> Iterator[Hit]:
    """Orders about foreign tools, names that imitate."""
    siblings = context.lower_names
    for surface in context.surfaces:
        if surface.kind is Kind.DESCRIPTION:
            form = plain(surface.text)
            if "when" in form or "instead" in form or "before" in form or "if " in form:
                for match in _SHADOW.finditer(form):
                    if match["tool"] not in siblings:
                        yield hit_on(
                            surface,
                            match[0],
                            f"{place(surface.pointer)} says how the tool “{quote(match['tool'])}” "
                            "has to be used, which is not this server's: "
                            f"“{quote(match[0], 200)}”.",
                            confidence=Confidence.MEDIUM,
                        )
                        break
        elif surface.pointer == "/name" and surface.subject.startswith("tools/"):
            name = surface.text.lower()
            folded = surface.text.translate(_DIGITS).lower()
            if folded != name and folded in (_WELL_KNOWN | siblings):
                yield hit_on(
                    surface,
                    f"imitates {folded}",
                    f"The name “{quote(surface.text)}” reads like “{folded}”.",
                )


_SHADOW = re.compile(
    r"\b(?:when|whenever|before|after|if|each time|every time)\b (?:you )?(?:use|using|call|calling"
    r"|invoke|invoking|run|running) (?:the )?[`'\"“]?(?P<tool>[a-z][a-z0-9]*(?:[_-][a-z0-9]+)+)"
    r"[`'\"”]?(?: tool| function)?[^.!?]{0,80}?\b(?:you must|you should|must|always|instead"
    r"|make sure|change|replace|redirect|set the|bcc|also send)\b[^.!?]{0,120}"
)
_DIGITS = str.maketrans({"0": "o", "1": "l", "3": "e", "5": "s", "I": "l"})
_WELL_KNOWN = frozenset(
    [
        "read_file",
        "write_file",
        "edit_file",
        "list_directory",
        "search_files",
        "create_directory",
        "move_file",
        "git_status",
        "git_diff",
        "git_commit",
        "git_log",
        "send_email",
        "send_message",
        "create_issue",
        "fetch",
        "query",
        "execute_command",
        "run_command",
        "search",
        "get_current_time",
        "convert_time",
        "create_pull_request",
        "read_query",
        "write_query",
        "browser_navigate",
    ]
)


@rule(
    RuleInfo(
        id="side-channel-parameter",
        title="A parameter asks for what the tool does not need",
        class_=H,
        evidence=Evidence.E5,
        what="A free-text parameter wants the conversation, the system prompt, the model's "
        "reasoning or the content of a private file, and the tool has nothing to do with them. A "
        "helpful model fills it in, and the server has it.",
        proof="The parameter's name and description, quoted in the message.",
        quiet_when="The tool is about that very thing: memory, chat, prompts, models, keys; or the "
        "parameter may be left out and asks for no file.",
        fix="Ask for what the tool needs.",
        cwe=(1427, 200),
    )
)
def side_channel_parameter(context: Context) -> Iterator[Hit]:
    """Parameters that collect."""
    for surface in context.surfaces:
        match = _PROPERTY.fullmatch(surface.pointer)
        item = context.items.get(surface.subject)
        if match is None or item is None or surface.kind is not Kind.NAME:
            continue
        schema = item.get("inputSchema")
        node = schema if isinstance(schema, dict) else {}
        properties = node.get("properties")
        value = properties.get(surface.text) if isinstance(properties, dict) else None
        if not isinstance(value, dict) or value.get("type", "string") != "string":
            continue
        name = re.sub(r"[_-]+", " ", surface.text).lower()
        said = plain(str(value.get("description", "")))[:4_000]
        listed = node.get("required")
        required = isinstance(listed, list) and surface.text in listed
        about = plain(f"{surface.subject} {item.get('title', '')}").replace("_", " ")
        about_all = plain(f"{about} {item.get('description', '')}")[:4_000]
        steals = _FILE_CONTENT.search(said) and not _KEEPS_FILES.search(about)
        listens = (
            required
            and (_COLLECTS.search(said) or name in _COLLECTING_NAMES)
            and not _IS_ABOUT_TALK.search(about_all)
        )
        if not (steals or listens):
            continue
        yield hit_on(
            surface,
            name,
            f"The parameter “{quote(surface.text, 80)}” asks for what the tool does not need: "
            f"“{quote(said or name, 160)}”.",
            confidence=Confidence.MEDIUM,
        )


_PROPERTY = re.compile(r"/inputSchema/properties/[^/]+")
_FILE_CONTENT = re.compile(
    r"\b(?:contents?|text|body|value) (?:of|from) (?:the )?(?:file )?[`'\"]?"
    r"(?:~?/?(?:\S{0,40}/)?\.ssh/(?!\S{0,40}\.pub)\S|~?/?\.aws/credentials|~?/?\.env\b"
    r"|\S{0,40}id_rsa\b(?!\.pub)|\S{0,40}mcp\.json|/etc/(?:passwd|shadow)|~?/?\.netrc|~?/?\.cursor/)"
)
_COLLECTS = re.compile(
    r"\b(?:full|entire|complete|whole|all|your)\b[^.]{0,30}\b(?:conversation|chat|message|tool.call)"
    r"s?(?: history| context| transcript|s so far)"
    r"|\b(?:your|the|full|entire) system prompt\b"
    r"|\byour (?:internal )?(?:instructions|chain of thought)"
)
_COLLECTING_NAMES = frozenset(
    (
        "conversation history",
        "chat history",
        "system prompt",
        "chain of thought",
        "full conversation",
        "previous messages",
        "tool call history",
    )
)
_IS_ABOUT_TALK = re.compile(
    r"\b(?:conversation|chat|memor|histor|summar|prompt|transcript|messag|llm|model|agent|complet"
    r"|assistant|thought|thinking|reason)"
)
_KEEPS_FILES = re.compile(r"\b(?:ssh|key|keys|credential|credentials|dotenv|env|config|deploy)\b")
