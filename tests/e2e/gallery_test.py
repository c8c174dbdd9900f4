"""The gallery: its files as they are served, and the page in Debian's Chromium, by its pixels."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.request

import browser
from diffusiond_process import SOURCE, Diffusiond, eventually, with_tiny_model

GALLERY = os.path.join(SOURCE, "server/http/gallery")
ESCAPE, ENTER = "\ue00c", "\ue007"

# In the page: RGBA bytes of a canvas, or of a picture, as a text to compare.
PIXELS = """
const pixelsOf = canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
const pixelsOfFile = async blob => {
  const bitmap = await createImageBitmap(blob, {colorSpaceConversion: 'none'});
  const canvas = Object.assign(document.createElement('canvas'), {width: bitmap.width, height: bitmap.height});
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  return pixelsOf(canvas);
};
"""
# Collects what each tile shows, frame by frame.
WATCH = PIXELS + """
window.seen = new Map();
const look = () => {
  for (const canvas of document.querySelectorAll('.tile canvas:first-child')) {
    if (!seen.has(canvas)) seen.set(canvas, new Set());
    seen.get(canvas).add(pixelsOf(canvas).join());
  }
  requestAnimationFrame(look);
};
look();
"""


def with_three_models(repository):
    with_tiny_model(repository)
    for name in ("fashion-mnist", "noto-emoji"):
        shutil.copytree(os.path.join(SOURCE, "model/checkpoints", name), os.path.join(repository, name))


def with_a_guarded_model(repository):
    """Whose server asks for the token "sesame"."""
    with_tiny_model(repository)
    folder = os.path.dirname(repository)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt"],
                   cwd=folder, check=True, capture_output=True)
    identity = {"name": "web", "rights": ["generate", "read"],
                "token_sha256": [hashlib.sha256(b"sesame").hexdigest()]}
    with open(os.path.join(folder, "access.json"), "w", encoding="utf-8") as file:
        json.dump({"identities": [identity]}, file)


class GalleryTestCase(unittest.TestCase):
    scheme, flags, fill_repository = "http", ("--default_model=tiny",), staticmethod(with_three_models)

    @classmethod
    def setUpClass(cls):
        cls.server = Diffusiond(*cls.flags, fill=cls.fill_repository)
        cls.server.__enter__()
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.url = f"{cls.scheme}://{cls.server.http_address}"


class FilesTest(GalleryTestCase):
    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:
            return reply.headers, reply.read().decode()

    def test_each_file_is_served_as_what_it_is_and_may_load_nothing_of_others(self):
        types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
        names = [name for name in os.listdir(GALLERY) if os.path.splitext(name)[1] in types]
        self.assertIn("main.js", names)
        for name in names:
            with self.subTest(name=name):
                headers, text = self.get("/" if name == "index.html" else f"/gallery/{name}")
                with open(os.path.join(GALLERY, name), encoding="utf-8") as file:
                    self.assertEqual(text, file.read())
                self.assertEqual(headers["Content-Type"],
                                 f"{types[os.path.splitext(name)[1]]}; charset=utf-8")
                self.assertEqual(headers["Cache-Control"], "no-cache")
                policy = headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'; script-src 'self'; style-src 'self'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertNotRegex(text, r"innerHTML|insertAdjacentHTML|document\.write|\beval\(")

    def test_what_the_scripts_use_is_there(self):
        _, page = self.get("/")
        ids = re.findall(r'\bid="([^"]+)"', page)
        self.assertEqual(len(ids), len(set(ids)))
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            self.get(path)
        for name in os.listdir(GALLERY):
            if not name.endswith(".js"):
                continue
            _, script = self.get(f"/gallery/{name}")
            for used in re.findall(r"byId\('([^']+)'\)", script):
                self.assertIn(used, ids, name)
            for imported in re.findall(r"from '\./([^']+)'", script):
                self.get(f"/gallery/{imported}")


@unittest.skipUnless(browser.is_installed(),
                     "no Chromium: apt-get install --no-install-recommends chromium chromium-driver")
class PageTestCase(GalleryTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()
        cls.browser.__enter__()
        cls.addClassCleanup(cls.browser.__exit__, None, None, None)

    def until(self, condition):
        eventually(lambda: self.browser.run(f"return {condition}"), condition)

    def fill(self, **fields):
        """Fields by their ids, in the order given; _ for -."""
        for name, value in fields.items():
            name = name if name.startswith("option-") else name.replace("_", "-")
            self.browser.run("""const field = document.getElementById(args[0]);
                field.value = args[1];
                for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, {bubbles: true}));
                """, name, str(value))

    def choose(self, count=1, sampler="ddim", steps=6, seed=7, model="tiny", **fields):
        self.fill(model=model)
        self.fill(**{"option-sampler": sampler, "option-steps": steps, "option-count": count},
                  seed=seed, **fields)

    def click(self, text):
        self.browser.run("""[...document.querySelectorAll('button')].find(
            button => button.textContent.trim() === args[0] && button.offsetParent).click()""", text)

    def card_is(self, state):
        self.until(f"document.querySelector('.card')?.dataset.state === '{state}'")


class PageTest(PageTestCase):
    def setUp(self):
        self.browser.open(self.url)
        self.browser.run("sessionStorage.clear()")
        self.load()

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])

    def load(self):
        self.browser.open(self.url)
        self.until("!document.getElementById('draw').disabled")

    def resident(self):
        return self.server.metric("diffusiond_resident_trajectories")

    def put(self, field, name, media_type, base64):
        """Chooses a file."""
        self.browser.run("""const bytes = Uint8Array.from(atob(args[3]), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], args[1], {type: args[2]}));
            const field = document.getElementById(args[0]);
            field.files = transfer.files;
            field.dispatchEvent(new Event('change'));""", field, name, media_type, base64)

    def test_the_default_model_is_the_one_chosen_at_first(self):
        self.assertEqual(self.browser.run(
            "return [...document.getElementById('model').options].map(each => each.value)"),
            ["tiny", "fashion-mnist", "noto-emoji"])
        self.assertEqual(self.browser.run("return document.getElementById('model').value"), "tiny")

    def test_each_tile_goes_from_noise_to_the_servers_picture(self):
        self.choose(count=4, sampler="ddpm", steps=60, **{"class": 3})
        self.browser.run(WATCH)
        self.browser.press(ENTER)
        self.card_is("done")
        changes = self.browser.run("return [...seen.values()].map(looks => looks.size)")
        self.assertEqual(len(changes), 4)
        for looks in changes:
            self.assertGreaterEqual(looks, 5, "empty, three previews, the picture")
        self.assertEqual(self.browser.run(PIXELS + """
            const canvases = [...document.querySelectorAll('.tile canvas:first-child')];
            return Promise.all(canvases.map(async (canvas, index) => {
              const reply = await fetch('/v1/generate?model=tiny&class=3&seed=7&sampler=ddpm&steps=60' +
                                        `&first_image_index=${index}`);
              return (await pixelsOfFile(await reply.blob())).join() === pixelsOf(canvas).join();
            }));"""), [True] * 4)

    def test_the_shipped_model_draws_with_both_previews(self):
        self.choose(model="fashion-mnist", sampler="unipc", steps=15, count=8, kind="PREVIEW_KIND_BOTH")
        self.browser.run(WATCH)
        self.click("Draw Enter")
        self.card_is("done")
        self.browser.run("document.querySelector('.tile').click()")
        self.until("document.getElementById('viewer').open")
        self.assertEqual(self.browser.run(
            "return [...document.getElementById('viewer-kind').options].map(each => each.value)"),
            ["PREVIEW_KIND_X0_HAT", "PREVIEW_KIND_X_T"])
        self.browser.run(WATCH.replace(".tile canvas:first-child", "#viewer-canvas"))
        for step in (0, 5, 9):
            self.fill(viewer_step=step)
            self.until("[...seen.values()][0].size > " + str((0, 5, 9).index(step)))
        self.browser.press(ESCAPE)
        self.until("!document.getElementById('viewer').open")

    def test_escape_cancels_and_a_closed_page_frees_its_rows(self):
        for leave in (lambda: self.browser.press(ESCAPE), lambda: self.browser.open("about:blank")):
            self.choose(count=16, sampler="ddpm", steps=1000)
            self.browser.press(ENTER)
            self.until("document.querySelector('.tile[data-state=drawing]') !== null")
            leave()
            eventually(lambda: self.resident() == 0, "its rows are free")
            if self.browser.run("return location.protocol") != "about:":
                self.card_is("cancelled")

    def test_requests_run_beside_each_other_and_end_alone(self):
        self.choose(count=2, sampler="ddpm", steps=1000)
        self.click("Draw Enter")
        self.until("document.querySelector('.tile[data-state=drawing]') !== null")
        self.choose(count=1)
        self.click("Draw Enter")
        self.card_is("done")
        states = "return [...document.querySelectorAll('.card')].map(card => card.dataset.state)"
        self.assertEqual(self.browser.run(states), ["done", "drawing"])
        self.click("Cancel")
        self.until("document.querySelectorAll('.card')[1].dataset.state === 'cancelled'")

    def test_two_tabs_do_not_disturb_each_other(self):
        self.choose(count=64, sampler="ddpm", steps=1000, seed=1)
        self.click("Draw Enter")
        self.until("document.querySelector('.tile[data-state=drawing]') !== null")
        first, = self.browser.tabs()
        self.browser.use_tab(self.browser.new_tab())
        self.load()
        self.assertEqual(self.browser.run("return document.getElementById('seed').value"), "")
        self.choose(count=1, seed=2)
        self.click("Draw Enter")
        self.card_is("done")
        self.browser.close_tab()
        self.browser.use_tab(first)
        self.assertEqual(self.browser.run("""
            const card = document.querySelector('.card');
            return [card.dataset.state, document.getElementById('seed').value]"""), ["drawing", "1"])
        self.browser.press(ESCAPE)
        self.card_is("cancelled")

    def test_replay_says_whether_the_bytes_are_equal(self):
        self.choose(count=2)
        self.click("Draw Enter")
        self.card_is("done")
        self.click("Replay")
        self.until("document.querySelector('.card').dataset.verdict === 'same'")
        self.click("Copy receipt")
        receipt = json.loads(self.browser.run("return document.querySelector('.receipt').value"))
        self.assertEqual(receipt["parameters"]["seed"], "7")
        receipt["parameters"]["seed"] = "8"
        text = self.browser.run("return btoa(args[0])", json.dumps(receipt))
        self.put("receipt-file", "other.json", "application/json", text)
        self.until("document.querySelector('.card').dataset.verdict === 'different'")

    def test_a_mask_keeps_what_is_not_painted(self):
        picture = self.browser.run("""
            const canvas = Object.assign(document.createElement('canvas'), {width: 28, height: 28});
            const context = canvas.getContext('2d');
            for (let x = 0; x < 28; x++) {
              context.fillStyle = `rgb(${x * 9}, ${x * 9}, ${x * 9})`;
              context.fillRect(x, 0, 1, 28);
            }
            return canvas.toDataURL().split(',')[1];""")
        self.put("start-file", "start.png", "image/png", picture)
        self.until("!document.getElementById('start-editor').hidden")
        self.choose(brush=6)
        left, top, side = self.browser.run("""
            const canvas = document.getElementById('mask-canvas');
            canvas.scrollIntoView({block: 'center'});
            const box = canvas.getBoundingClientRect();
            return [box.left, box.top, box.width];""")
        self.browser.drag((left + side * 0.2, top + side / 2), (left + side * 0.8, top + side / 2))
        self.click("Draw Enter")
        self.card_is("done")
        kept, drawn = self.browser.run(PIXELS + """
            const mask = pixelsOf(document.getElementById('mask-canvas'));
            const start = pixelsOf(document.getElementById('start-canvas'));
            const seen = pixelsOf(document.querySelector('.tile canvas'));
            const most = [0, 0];
            for (let i = 0; i < mask.length; i += 4) {
              const at = mask[i + 3] > 0 ? 1 : 0;
              most[at] = Math.max(most[at], Math.abs(seen[i] - start[i]));
            }
            return most;""")
        self.assertLessEqual(kept, 1)
        self.assertGreater(drawn, 20)
        self.click("Replay")
        self.until("document.querySelector('.card').dataset.verdict === 'same'")

    def test_a_grid_has_a_picture_for_each_pair(self):
        self.choose()
        self.fill(x_axis="steps", y_axis="sampler")
        self.fill(x_values="5, 10, 15", y_values="ddim, ddpm")
        self.browser.run("document.getElementById('compare').open = true")
        self.browser.run("document.getElementById('x-values').focus()")
        self.browser.press(ENTER)
        self.card_is("done")
        self.until("document.querySelectorAll('td .tile[data-state=done]').length === 6")
        self.assertEqual(self.browser.run("""
            return [...document.querySelectorAll('.card th[scope]')].map(cell => cell.textContent)"""),
            ["5", "10", "15", "ddim", "ddpm"])
        self.assertEqual(self.browser.run(PIXELS + """
            return new Set([...document.querySelectorAll('.tile canvas:first-child')].map(
              canvas => pixelsOf(canvas).join())).size"""), 6)

    def test_only_what_the_sampler_reads_is_asked_for(self):
        shown = "return document.getElementById('option-{}') !== null"
        for sampler, eta, variance in (("ddim", True, False), ("ddpm", False, True)):
            self.choose(sampler=sampler)
            self.assertEqual(self.browser.run(shown.format("eta")), eta)
            self.assertEqual(self.browser.run(shown.format("variance")), variance)

    def test_a_refusal_is_told_where_it_belongs(self):
        self.choose(steps=100000)
        self.click("Draw Enter")
        self.card_is("failed")
        self.assertEqual(self.browser.run(
            "return document.getElementById('option-steps').getAttribute('aria-invalid')"), "true")
        # Chromium itself tells of an answer of 400.
        self.assertEqual(len(self.browser.complaints()), 1)

    def test_a_page_that_is_loaded_again_keeps_its_settings(self):
        self.choose(count=3, sampler="ddim", steps=9, seed=5)
        self.load()
        self.assertEqual(self.browser.run("""
            return ['option-count', 'option-sampler', 'option-steps', 'seed'].map(
              id => document.getElementById(id).value)"""), ["3", "ddim", "9", "5"])

    @unittest.skipUnless("DIFFUSIOND_SCREENSHOT" in os.environ, "DIFFUSIOND_SCREENSHOT names no file")
    def test_screenshot(self):
        """server/http/gallery/screenshot.png, which README shows."""
        self.choose(model="noto-emoji", sampler="unipc", count=10, steps="", **{"class": 5})
        self.click("Draw Enter")
        self.card_is("done")
        self.choose(model="fashion-mnist", sampler="unipc", count=10, steps=150, kind="PREVIEW_KIND_BOTH",
                    **{"class": 7})
        self.click("Draw Enter")
        self.until("[...document.querySelectorAll('.tile')].slice(6, 10).some("
                   "tile => Number(tile.dataset.steps) > 70)")
        with open(os.environ["DIFFUSIOND_SCREENSHOT"], "wb") as file:
            file.write(self.browser.screenshot())


class AccessTest(PageTestCase):
    scheme, fill_repository = "https", staticmethod(with_a_guarded_model)
    flags = ("--tls_cert=tls.crt", "--tls_key=tls.key", "--access_file=access.json")

    def test_a_server_that_asks_who_draws_gets_the_token(self):
        self.browser.open(self.url)
        self.until("!document.getElementById('access').hidden")
        self.fill(token="wrong")
        self.click("Use")
        self.until("document.querySelectorAll('#cards > .notice').length === 2")
        self.fill(token="sesame")
        self.click("Use")
        self.until("document.getElementById('access').hidden")
        self.until("!document.getElementById('state').hidden")
        self.choose()
        self.click("Draw Enter")
        self.card_is("done")
        self.browser.open(self.url)
        self.until("!document.getElementById('draw').disabled")


if __name__ == "__main__":
    unittest.main()
