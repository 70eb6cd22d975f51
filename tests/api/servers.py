"""Servers of one test or one session."""
from daemon import Server


class Servers:
    """Makes servers and, at the end, takes them to task."""

    def __init__(self, folder):
        self.folder = folder
        self.made = []

    def __call__(self, start=True, data=None, **how):
        found = Server(data or self.folder / f"data{len(self.made)}", **how)
        self.made.append(found)
        return found.start() if start else found

    def finish(self):
        complaints = []
        for server in self.made:
            complaints += [f"{server.data}: {text}" for text in server.finish()]
        if not complaints:
            for server in self.made:
                server.erase()
        assert not complaints, "\n".join(complaints)
