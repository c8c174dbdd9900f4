"""Debian's Chromium without a screen, by WebDriver (https://www.w3.org/TR/webdriver2/)."""

import base64
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def is_installed():
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """A context manager: one window."""

    def __init__(self, width=1200, height=860):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.session = None
        self.size = (width, height)

    def __enter__(self):
        try:
            for line in self.driver.stdout:
                found = re.search(r"started successfully on port (\d+)", line)
                if found:
                    break
            else:
                raise AssertionError("chromedriver does not start")
            self.url = f"http://127.0.0.1:{found.group(1)}"
            wanted = {"acceptInsecureCerts": True,  # A test makes its own.
                      "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": FLAGS},
                      "goog:loggingPrefs": {"browser": "ALL"}}
            answer = self._ask("/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = answer["sessionId"]
            self.resize(*self.size)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        try:
            if self.session:
                self._ask(f"/session/{self.session}", method="DELETE")
        finally:
            self.driver.kill()
            self.driver.wait()
            self.driver.stdout.close()

    def _ask(self, path, body=None, method="POST"):
        data = None if method in ("DELETE", "GET") else json.dumps(body or {}).encode()
        asked = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"},
                                       method=method)
        try:
            with urllib.request.urlopen(asked, timeout=120) as reply:
                return json.loads(reply.read())["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.loads(error.read())["value"]["message"]) from None

    def _in_session(self, path, body=None):
        return self._ask(f"/session/{self.session}/{path}", body)

    def tabs(self):
        return self._ask(f"/session/{self.session}/window/handles", method="GET")

    def new_tab(self):
        return self._in_session("window/new", {"type": "tab"})["handle"]

    def use_tab(self, handle):
        self._in_session("window", {"handle": handle})

    def close_tab(self):
        self._ask(f"/session/{self.session}/window", method="DELETE")

    def open(self, url):
        self._in_session("url", {"url": url})

    def run(self, script, *arguments):
        """What a function body returns; it may `await`."""
        whole = ("const done = arguments[arguments.length - 1];"
                 f"(async (...args) => {{ {script} }})(...arguments)"
                 ".then(value => done({value}), error => done({error: String(error)}));")
        answer = self._in_session("execute/async", {"script": whole, "args": list(arguments)})
        if "error" in answer:
            raise AssertionError(f"{answer['error']} in: {script}")
        return answer.get("value")

    def press(self, key):
        self._in_session("actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def drag(self, start, end):
        """With the pointer's button down, from one point of the window to another."""
        def move(point):
            return {"type": "pointerMove", "duration": 0, "x": int(point[0]), "y": int(point[1])}
        self._in_session("actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [
            move(start), {"type": "pointerDown", "button": 0}, move(end),
            {"type": "pointerUp", "button": 0}]}]})

    def resize(self, width, height, scale=1):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=scale, mobile=False)

    def prefer(self, **features):
        """prefer(color_scheme="dark")"""
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()])

    def devtools(self, command, **parameters):
        return self._in_session("goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self):
        """What the page's console was told of errors since the last call."""
        return [entry["message"] for entry in self._in_session("se/log", {"type": "browser"})
                if entry["level"] == "SEVERE"]

    def screenshot(self):
        """A PNG file of the window."""
        return base64.b64decode(self.devtools("Page.captureScreenshot", format="png")["data"])
