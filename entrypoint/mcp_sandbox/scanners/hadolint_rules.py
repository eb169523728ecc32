"""Titles and ways out for Hadolint's rules, in our own words.

The ids are those of Hadolint 2.15.1; its messages say more of the place. A rule that is not in the
table (Hadolint's next one) is told by its id alone. ``SC…`` are ShellCheck's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HadolintRule:
    """What a reader is told of a rule."""

    title: str
    fix: str
    url: str


_WIKI = "https://github.com/hadolint/hadolint/wiki/"
_SHELLCHECK = "https://www.shellcheck.net/wiki/"

_PIN = "Name the version that the image was tested with."
_CLEAN = "Remove the package manager's cache in the same RUN."
_YES = "Pass the switch that answers yes."

_RULES: dict[str, tuple[str, str]] = {
    "DL1001": ("A rule is silenced in a comment", "Mend what the rule says."),
    "DL3000": ("WORKDIR is relative", "Write it as an absolute path."),
    "DL3001": ("A command without a use in a container", "Leave it out."),
    "DL3002": ("The last user is root", "End with a USER that is not root."),
    "DL3003": ("The folder is changed with cd", "Use WORKDIR."),
    "DL3004": ("sudo is used", "Switch with USER, or run the command as root without sudo."),
    "DL3006": ("The base image has no tag", "Pin the base image by tag and digest."),
    "DL3007": ("The base image is whatever is latest", "Pin the base image by tag and digest."),
    "DL3008": ("apt packages without a version", _PIN),
    "DL3009": ("apt's lists stay in the image", "Remove /var/lib/apt/lists in the same RUN."),
    "DL3010": ("An archive is copied and unpacked later", "Let ADD unpack it."),
    "DL3011": ("EXPOSE names an impossible port", "Use a port from 0 to 65535."),
    "DL3012": ("Several HEALTHCHECK in one stage", "Keep one: only the last counts."),
    "DL3013": ("pip packages without a version", "Install from a lock file with hashes."),
    "DL3014": ("apt-get waits for an answer", _YES),
    "DL3015": ("apt installs recommended packages", "Pass --no-install-recommends."),
    "DL3016": ("npm packages without a version", "Install from a lock file with npm ci."),
    "DL3018": ("apk packages without a version", _PIN),
    "DL3019": ("apk's cache stays in the image", "Pass --no-cache."),
    "DL3020": ("ADD where COPY does", "Use COPY: ADD unpacks and downloads."),
    "DL3021": ("COPY of several files into something that is no folder", "End it with a slash."),
    "DL3022": ("COPY --from names no stage of this file", "Name a stage, or an image by digest."),
    "DL3023": ("COPY --from names its own stage", "Name an earlier stage."),
    "DL3024": ("Two stages share a name", "Give each stage a name of its own."),
    "DL3025": ("CMD or ENTRYPOINT goes through a shell", "Write it as a JSON list."),
    "DL3026": ("The base image's source is not trusted", "Use an image from a trusted source."),
    "DL3027": ("apt in a script", "Use apt-get or apt-cache: their interface is stable."),
    "DL3028": ("gems without a version", "Install from a Gemfile.lock."),
    "DL3029": ("FROM fixes the platform", "Leave --platform out, or take it from an argument."),
    "DL3030": ("yum waits for an answer", _YES),
    "DL3032": ("yum's cache stays in the image", _CLEAN),
    "DL3033": ("yum packages without a version", _PIN),
    "DL3034": ("zypper waits for an answer", _YES),
    "DL3035": ("zypper upgrades the whole system", "Use a newer base image."),
    "DL3036": ("zypper's cache stays in the image", _CLEAN),
    "DL3037": ("zypper packages without a version", _PIN),
    "DL3038": ("dnf waits for an answer", _YES),
    "DL3040": ("dnf's cache stays in the image", _CLEAN),
    "DL3041": ("dnf packages without a version", _PIN),
    "DL3042": ("pip's cache stays in the image", "Pass --no-cache-dir."),
    "DL3043": ("ONBUILD triggers what it must not", "Take FROM, ONBUILD and MAINTAINER out of it."),
    "DL3044": ("A variable uses one of the same ENV", "Set it in an ENV of its own, later."),
    "DL3045": ("COPY to a relative path without WORKDIR", "Set WORKDIR before."),
    "DL3046": ("useradd with a high uid makes a huge log file", "Pass --no-log-init."),
    "DL3047": ("wget floods the build log", "Pass --progress=dot:giga or --no-verbose."),
    "DL3048": ("A label's name is not valid", "Use lower case, digits, dots and dashes."),
    "DL3049": ("A label is missing", "Add it."),
    "DL3050": ("A label nobody asked for", "Leave it out."),
    "DL3051": ("A label is empty", "Give it a value."),
    "DL3052": ("A label is no URL", "Make it one."),
    "DL3053": ("A label is no time", "Write it as RFC 3339 has it."),
    "DL3054": ("A label is no SPDX licence", "Use an SPDX expression."),
    "DL3055": ("A label is no git hash", "Use the commit's full hash."),
    "DL3056": ("A label is no semantic version", "Write it as MAJOR.MINOR.PATCH."),
    "DL3057": ("There is no HEALTHCHECK", "Add one if something watches the container's health."),
    "DL3058": ("A label is no e-mail address", "Make it one."),
    "DL3059": ("RUN follows RUN", "Join them where they belong together."),
    "DL3060": ("yarn's cache stays in the image", _CLEAN),
    "DL3061": ("Something stands before FROM", "Begin with FROM, ARG or a comment."),
    "DL3062": ("Go packages without a version", _PIN),
    "DL3064": ("A secret may stand in ARG or ENV", "Pass it at run time, or mount it as a secret."),
    "DL4000": ("MAINTAINER is obsolete", "Use a label."),
    "DL4001": ("Both wget and curl are used", "Keep one of them."),
    "DL4003": ("Several CMD in one stage", "Keep one: only the last counts."),
    "DL4004": ("Several ENTRYPOINT in one stage", "Keep one: only the last counts."),
    "DL4005": ("The shell is changed with a link", "Use SHELL."),
    "DL4006": ("A failure inside a pipe is not seen", "Set SHELL with -o pipefail before."),
}


def rule(code: str) -> HadolintRule:
    """What is known of a rule."""
    if code.startswith("SC"):
        return HadolintRule(
            f"ShellCheck {code} in a command",
            "Change the command as ShellCheck's page says.",
            _SHELLCHECK + code,
        )
    title, fix = _RULES.get(code, (f"Hadolint's rule {code}", "Do as its message says."))
    return HadolintRule(title, fix, _WIKI + code)
