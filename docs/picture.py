"""Makes the README's pictures from real reports: ``python docs/picture.py REPORT COMMAND OUT.svg``.

The text is what the command prints, by the code that prints it: what changed for ``baseline diff``,
else the answer of a scan.
"""

import re
import sys
from pathlib import Path

from rich.console import Console

from mcp_sandbox.cli.printing import print_difference, print_report
from mcp_sandbox.report import json as report_json


def main(report: str, command: str, out: str) -> None:
    """Render one saved report as the terminal shows it."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(
            record=True, width=118, file=nowhere, highlight=False, force_terminal=True
        )
        console.print(f"$ {command}", markup=False, style="bold")
        saved = report_json.load(Path(report).read_bytes())
        if " baseline diff" in command:
            print_difference(console, saved)
        else:
            print_report(console, saved, folder=None)
        drawn = console.export_svg(title="mcp-sandbox")
    # The fonts that rich names would be fetched from a stranger's server.
    Path(out).write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main(*sys.argv[1:4])
