"""The gallery's corner with the state of the server, and the connections that all tabs share."""

import unittest

from diffusiond_process import eventually, with_tiny_model
from gallery_test import ENTER, ESCAPE, PageTestCase

WAITS = "waits for a free connection"

# In the page: each speed that the corner has shown.
WATCH_SPEED = """
window.speeds = new Set();
new MutationObserver(() => speeds.add(document.getElementById('state-steps').textContent)).observe(
  document.getElementById('state-steps'), {childList: true});
"""
# In the page: how often it has asked; `silent` says whether it is left without an answer.
WATCH_ASKING = """
window.asked = 0;
window.silent = false;
const ask = window.fetch;
window.fetch = (path, ...more) => {
  if (path !== '/v1/state') return ask(path, ...more);
  asked++;
  return silent ? Promise.reject(new TypeError('no connection')) : ask(path, ...more);
};
"""
HIDE = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true});"
SHOW = "delete document.hidden;"
LOOK = "document.dispatchEvent(new Event('visibilitychange'));"


class StateTestCase(PageTestCase):
    flags, fill_repository = (), staticmethod(with_tiny_model)

    def setUp(self):
        self.load()

    def tearDown(self):
        while len(self.browser.tabs()) > 1:
            self.browser.close_tab()
            self.browser.use_tab(self.browser.tabs()[0])
        self.assertEqual(self.browser.complaints(), [])
        self.browser.open("about:blank")
        eventually(lambda: self.server.metric("diffusiond_resident_trajectories") == 0, "its rows are free")

    def load(self):
        self.browser.open(self.url)
        self.until("!document.getElementById('draw').disabled")
        self.until("!document.getElementById('state').hidden")

    def open_tab(self):
        tab = self.browser.new_tab()
        self.browser.use_tab(tab)
        self.load()
        return tab

    def draw(self, times=1, **choice):
        self.choose(**choice)
        for _ in range(times):
            self.click("Draw Enter")

    def draw_long(self, times=1):
        self.draw(times, count=16, sampler="ddpm", steps=1000, every=0)

    def shows(self, name, text):
        self.until(f"document.getElementById('state-{name}').textContent === '{text}'")

    def cards(self):
        """The states of those of this tab, and how many wait for a connection."""
        return self.browser.run("""
            const cards = [...document.querySelectorAll('.card')];
            return [cards.map(card => card.dataset.state), cards.filter(
              card => card.querySelector('.status').textContent === args[0]).length];""", WAITS)

    def streams(self):
        return self.server.metric("diffusiond_requests_in_flight", method="POST /v1/generate")


class CornerTest(StateTestCase):
    def test_it_follows_what_is_drawn(self):
        self.shows("waiting", "0 / 1024")
        self.shows("resident", "0 / 256")
        self.shows("workers", "1")
        self.browser.run(WATCH_SPEED)
        self.draw_long()
        self.until("parseInt(document.getElementById('state-resident').textContent) > 0")
        self.until("[...speeds].filter(Number).length >= 2")
        self.until("Number(document.getElementById('state-passes').textContent) >= 1")
        self.browser.press(ESCAPE)
        self.shows("resident", "0 / 256")
        self.shows("passes", "–")

    def test_nobody_asks_while_the_page_is_hidden(self):
        self.browser.run(WATCH_ASKING + HIDE + LOOK + "asked = 0;")
        self.choose()
        self.browser.press(ENTER)
        self.card_is("done")
        self.assertEqual(self.browser.run("return asked"), 0)
        self.browser.run(SHOW + LOOK)
        self.until("asked > 0")

    def test_it_says_when_the_server_does_not_answer(self):
        said = "document.getElementById('said').textContent"
        self.browser.run(WATCH_ASKING + "silent = true;" + LOOK)
        self.shows("silent", "the server does not answer")
        self.until(f"document.getElementById('state').hidden && {said} === 'the server does not answer'")
        self.browser.run("silent = false;" + LOOK)
        self.until(f"!document.getElementById('state').hidden && {said} === 'the server answers again'")
        self.shows("silent", "")


class ConnectionsTest(StateTestCase):
    def test_two_tabs_that_want_all_connections_leave_one(self):
        first, = self.browser.tabs()
        self.draw_long(4)
        self.open_tab()
        self.draw_long(4)
        eventually(lambda: self.streams() == 5, "as many streams as there are turns")
        self.browser.run(WATCH_SPEED)
        self.until("speeds.size >= 2")
        self.assertEqual(self.cards(), [["drawing"] * 4, 3])
        self.assertEqual(self.streams(), 5)

        self.browser.press(ESCAPE)  # The newest, which waits.
        self.card_is("cancelled")
        self.assertEqual(self.cards()[1], 2)
        second = next(tab for tab in self.browser.tabs() if tab != first)
        self.browser.use_tab(first)
        self.browser.close_tab()  # What it held is free.
        self.browser.use_tab(second)
        eventually(lambda: self.cards()[1] == 0, "the others have their turn")

    def test_a_page_that_is_left_frees_its_rows(self):
        self.draw_long(7)
        eventually(lambda: self.streams() == 5, "they are being drawn")
        self.browser.open("about:blank")
        eventually(lambda: self.streams() == 0, "nobody waits for them")

    def test_two_tabs_get_all_that_they_ask_for(self):
        first, = self.browser.tabs()
        tabs = [first, self.open_tab()]
        for tab in tabs:
            self.browser.use_tab(tab)
            self.draw(12, count=2)
        for tab in tabs:
            self.browser.use_tab(tab)
            self.until("document.querySelectorAll('.tile[data-state=done]').length === 24")
            self.until("document.querySelectorAll('.card[data-state=done]').length === 12")

    def test_a_page_without_locks_has_turns_of_its_own(self):
        self.browser.run("Object.defineProperty(navigator, 'locks', {value: undefined});")
        self.draw_long(4)
        eventually(lambda: self.cards() == [["drawing"] * 4, 2], "two wait")
        self.browser.press(ESCAPE)
        eventually(lambda: self.cards() == [["cancelled"] + ["drawing"] * 3, 1], "one waits")
        self.browser.run("[...document.querySelectorAll('.card')].at(-1).querySelector('button:not(.tile)').click()")
        eventually(lambda: self.cards()[1] == 0, "it has its turn")


if __name__ == "__main__":
    unittest.main()
