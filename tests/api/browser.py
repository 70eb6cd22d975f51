"""A headless Chromium, driven by its DevTools protocol over a pair of pipes."""
import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT = 60  # [s] the machine may be busy
SHIFT = {"key": "Shift", "code": "ShiftLeft", "windowsVirtualKeyCode": 16}
SHIFTED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ~!@#$%^&*()_+{}|:"<>?'
# Where a character is on a US keyboard.
KEYS = {"\n": "Enter", "\t": "Tab", " ": "Space", **dict(zip("-=[]\\;'`,./", (
    "Minus", "Equal", "BracketLeft", "BracketRight", "Backslash", "Semicolon", "Quote", "Backquote", "Comma", "Period",
    "Slash")))}
KEYS.update({c: "Key" + c.upper() for c in "abcdefghijklmnopqrstuvwxyz"}, **{c: "Digit" + c for c in "0123456789"})
KEYS.update({upper: KEYS[lower] for upper, lower in zip(SHIFTED, "abcdefghijklmnopqrstuvwxyz`1234567890-=[]\\;',./")})


class Browser:
    def __init__(self, language="en-US"):
        self.folder = tempfile.mkdtemp(prefix="starvirt-browser-")
        read_by_it, self.out = os.pipe()
        self.into, written_by_it = os.pipe()

        def move():  # it wants them as 3 and 4
            high = os.dup(read_by_it), os.dup(written_by_it)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            [PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
             "--remote-debugging-pipe", "--ignore-certificate-errors", f"--accept-lang={language}",
             f"--lang={language}", "--window-size=1100,800", f"--user-data-dir={self.folder}/profile", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, close_fds=False, preexec_fn=move,
            env={**os.environ, "HOME": self.folder, "LANGUAGE": language.replace("-", "_")})
        os.close(read_by_it)
        os.close(written_by_it)
        self.unread = b""
        self.number = 0
        self.events = []

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _message(self, end):
        while b"\0" not in self.unread:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self.into, 1 << 20)
            if not part:
                raise RuntimeError("the browser ended: " + open(self.log.name).read()[-2000:])
            self.unread += part
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def call(self, method, params=None, session=None, timeout=TIMEOUT):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self.out, text):]
        end = time.monotonic() + timeout
        while True:
            found = self._message(end)
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]
            if "method" in found:
                self.events.append(found)

    def page(self, url):
        return Page(self, url)


class Page:
    """One tab. What its scripts complain of is in complaints()."""

    def __init__(self, browser, url):
        self.browser = browser
        target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.call(part + ".enable")
        self.open(url)

    def call(self, method, params=None):
        return self.browser.call(method, params, self.session)

    def open(self, url):
        self.call("Page.navigate", {"url": url})

    def evaluate(self, script):
        found = self.call("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def until(self, script, what=None, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            with contextlib.suppress(RuntimeError):  # the page is being loaded
                value = self.evaluate(script)
                if value:
                    return value
            if time.monotonic() > end:
                raise TimeoutError(f"after {timeout} s still not: {what or script}; " + repr(self.state()))
            time.sleep(0.05)

    def of(self, kind):
        return [e["params"] for e in self.browser.events if e.get("sessionId") == self.session and e["method"] == kind]

    def complaints(self):
        """Violations of the page's policy, and exceptions nobody caught."""
        said = [e["entry"] for e in self.of("Log.entryAdded")]
        found = [entry["text"] for entry in said if entry["source"] in ("security", "violation")]
        found += [json.dumps(e["exceptionDetails"]) for e in self.of("Runtime.exceptionThrown")]
        return found + [str(e) for e in self.of("Page.javascriptDialogOpening")]

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", {"format": "png"})["data"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    # --- the console page ---
    def state(self):
        return self.evaluate("(() => { const s = document.getElementById('state');"
                             " return s && [s.dataset.state, s.textContent]; })()")

    def wait_state(self, state):
        self.until(f"document.getElementById('state')?.dataset.state === '{state}'", f"the console is {state}")
        return self.state()[1]

    def colours(self):
        """How many different ones the screen shows, of a sample of its pixels; 0 while there is no screen."""
        return self.evaluate("""(() => {
            const c = document.querySelector("#screen canvas");
            if (!c || !c.width || !c.height) return 0;
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
            for (let i = 0; i < d.length; i += 4 * 7) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
            return seen.size;
        })()""")

    def lit(self, left=0, top=0, width=None, height=None):
        """How many of the screen's pixels are not dark, in a part of it."""
        part = f"{left}, {top}, {width or 'c.width'}, {height or 'c.height'}"
        return self.evaluate(f"""(() => {{
            const c = document.querySelector("#screen canvas");
            if (!c || !c.width || !c.height) return 0;
            const d = c.getContext("2d").getImageData({part}).data;
            let n = 0;
            for (let i = 0; i < d.length; i += 4) n += d[i] + d[i + 1] + d[i + 2] > 120;
            return n;
        }})()""")

    def type(self, text):
        """As a keyboard does it."""
        for character in text:
            shifted = character in SHIFTED
            key = KEYS[character] if character in "\n\t" else character
            common = {"key": key, "code": KEYS[character], "modifiers": 8 if shifted else 0}
            if shifted:
                self.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", "modifiers": 8, **SHIFT})
            self.call("Input.dispatchKeyEvent", {"type": "rawKeyDown", **common})
            self.call("Input.dispatchKeyEvent", {"type": "keyUp", **common})
            if shifted:
                self.call("Input.dispatchKeyEvent", {"type": "keyUp", **SHIFT})
