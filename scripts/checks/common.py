"""What the checks share: where the sources are, how to read them, how to report."""

import os
import re
import sys

ROOMS = ("server", "handlers", "api", "core", "jobs", "db", "hv", "net", "base", "cli")
OUTSIDE = ("tests", "bench")
FOLDERS = ROOMS + OUTSIDE + ("include",)


def root():
    """The tree to check; CHECK_ROOT is for the check of the checks."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("CHECK_ROOT") or os.path.dirname(os.path.dirname(here))


def sources(suffixes=(".c", ".h"), folders=FOLDERS):
    """Paths below the root, sorted."""
    found = []
    for folder in folders:
        for where, _, names in os.walk(os.path.join(root(), folder)):
            found += [os.path.relpath(os.path.join(where, n), root()) for n in names if n.endswith(tuple(suffixes))]
    return sorted(found)


def read(path):
    with open(os.path.join(root(), path), encoding="utf-8") as f:
        return f.read()


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text with comments blanked and literals emptied; lines and columns stay."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Report:
    """Prints findings as file:line: text and, at the end, one summary line."""

    def __init__(self, name):
        self.name = name
        self.findings = 0

    def add(self, path, line, text):
        self.findings += 1
        print(f"{path}:{line}: {text}")

    def end(self, looked_at):
        """Exit code: nothing looked at is a failure, too."""
        print(f"{self.name}: {looked_at} files, {self.findings} findings")
        if not looked_at:
            print(f"{self.name}: found nothing to check under {root()}", file=sys.stderr)
        return 1 if self.findings or not looked_at else 0
