// What was asked for at once, one request or the requests of a grid: its tiles, how far it is, and
// what can be done with it.

import {generate, Refusal} from './api.js';
import {byId, make, paintSoon, save, say, shownWidth} from './dom.js';
import {fromBase64, sha256, sheet, toBase64, toBlob} from './pixels.js';
import {Tile} from './tile.js';

const MAX_NOTES = 3;
const WAITS_FOR_TURN = 'waits for a free connection';

// Pictures are shown larger where there are fewer.
function wantedWidth(count) {
  if (count === 1) return 256;
  if (count <= 4) return 196;
  return count <= 24 ? 140 : 84;
}

function seconds(value) {
  return value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // A page neither of https nor of localhost has no clipboard of its own.
  const area = make('textarea', {value: text, class: 'unseen'});
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

// The request that a receipt's parameters are. `pictures`: what it was drawn from.
export function requestOf(receipt, pictures = {}) {
  const {model, count, seed, classId, sampling, morphSeed, format, firstImageIndex, pictureFit} =
    receipt.parameters;
  const request = {model, modelDigest: receipt.modelDigest, count, seed, sampling, format, firstImageIndex};
  if (classId !== undefined) request.classId = classId;
  if (morphSeed !== undefined) request.morphSeed = morphSeed;
  if (pictures.initImage) Object.assign(request, pictures, {pictureFit});
  return request;
}

export class Card {
  #abort = new AbortController();
  #began = performance.now();
  #firstStep;
  #notes = 0;
  #buttons;
  #bar = make('i', {class: 'bar'});
  #status = make('p', {class: 'status'});
  #problems = make('ul', {class: 'notice', hidden: true});
  #receiptText = make('textarea', {class: 'receipt', readOnly: true, rows: 12, 'aria-label': 'Receipt'});
  #grid;

  // spec: {title, about, model, jobs, labels, hooks}. A job: {request, count, first, expected}, where
  // `expected` are a receipt's digests; the tiles of all jobs stand in their order, with `labels`
  // ({x, columns, y, rows}) as a table.
  // `pictures`: what it is drawn from, as in the requests.
  constructor({title, about, model, jobs, labels, pictures, hooks}) {
    const {maxCount} = model.limits;
    for (const {count} of jobs) {
      if (!Number.isInteger(count) || count < 1 || count > maxCount) {
        throw new Error(`Pictures: ${count} is not in 1 .. ${maxCount}`);
      }
    }
    Object.assign(this, {title, about, model, jobs, labels, pictures, hooks});
    this.tiles = [];
    for (const job of jobs) {
      job.tiles = Array.from({length: job.count}, (_, index) => {
        const name = job.name ?? `Picture ${job.first + index}`;
        return new Tile(name, model, job.request.preview?.kind, tile => hooks.open(tile, this));
      });
      this.tiles.push(...job.tiles);
    }
    this.#grid = labels ? this.#table() : make('div', {class: 'tiles'}, ...this.tiles.map(t => t.element));
    this.#buttons = this.#makeButtons();
    this.element = make('article', {class: 'card', 'aria-label': title},
      make('header', {},
        make('div', {class: 'row spread'}, make('h2', {}, title), this.#status),
        make('p', {class: 'quiet'}, about),
        make('div', {class: 'progress'}, this.#bar)),
      this.#problems, this.#grid, make('div', {class: 'row'}, ...Object.values(this.#buttons)));
    this.resize();
    this.#become('drawing');
  }

  #makeButtons() {
    const button = (text, onclick, title = '') => make('button', {type: 'button', onclick, title}, text);
    return {
      cancel: button('Cancel', () => this.cancel(), 'Escape'),
      replay: button('Replay', () => this.hooks.replay(this), 'Draw it again and compare the bytes'),
      use: button('Use settings', () => this.hooks.use(this.jobs[0].receipt.parameters)),
      sheet: button('Save sheet', () => this.#saveSheet()),
      save: button('Save pictures', () => this.#savePictures()),
      start: button('Save start picture', () => this.#saveStart(), 'Who replays the receipt must bring it'),
      copy: button('Copy receipt', () => this.#copyReceipt()),
      receipt: button('Save receipt', () => this.#saveReceipt()),
      remove: button('Remove', () => this.#remove()),
    };
  }

  #table() {
    const {columns, rows, x, y} = this.labels;
    const head = make('tr', {}, make('th', {class: 'corner'}, y ? `${x} →\n${y} ↓` : `${x} →`),
                      ...columns.map(text => make('th', {scope: 'col'}, text)));
    const body = rows.map((text, row) => make('tr', {}, make('th', {scope: 'row'}, text),
      ...columns.map((_, column) => make('td', {}, this.tiles[row * columns.length + column].element))));
    const table = make('table', {}, make('thead', {}, head), make('tbody', {}, ...body));
    return make('div', {class: 'scroll'}, table);
  }

  resize() {
    const wanted = Math.min(this.labels ? innerWidth < 760 ? 84 : 112 : wantedWidth(this.tiles.length),
                            innerWidth - 64);
    const width = shownWidth(this.model.width, wanted);
    this.element.style.setProperty('--tile', `${width}px`);
    this.element.style.setProperty('--tile-height', `${width * this.model.height / this.model.width}px`);
    this.element.classList.toggle('smooth', width < this.model.width);
  }

  get isDrawing() {
    return this.element.dataset.state === 'drawing';
  }

  cancel() {
    this.#abort.abort();
  }

  #remove() {
    this.cancel();
    this.element.remove();
    this.hooks.removed(this);
  }

  #become(state) {
    this.element.dataset.state = state;
    const isWhole = state === 'done';
    const hasSome = this.tiles.some(tile => tile.picture);
    for (const [name, button] of Object.entries(this.#buttons)) {
      const shown = {cancel: state === 'drawing', remove: state !== 'drawing',
                     start: isWhole && this.pictures.initImage !== undefined,
                     sheet: isWhole && this.tiles.length > 1, save: state !== 'drawing' && hasSome};
      button.hidden = !(shown[name] ?? isWhole);
    }
    paintSoon(this);
  }

  // Returns when all of it is drawn, refused or cancelled.
  async run() {
    const failures = (await Promise.allSettled(this.jobs.map(job => this.#draw(job))))
      .flatMap((outcome, index) => outcome.reason ? [{job: this.jobs[index], error: outcome.reason}] : []);
    for (const {job, error} of failures) {
      const state = this.#abort.signal.aborted ? 'cancelled' : 'failed';
      for (const tile of job.tiles) tile.end(state, error.message);
    }
    const refused = failures.filter(() => !this.#abort.signal.aborted);
    for (const {job, error} of refused) this.#tell(error, job);
    if (this.#abort.signal.aborted && failures.length > 0) this.#become('cancelled');
    else this.#become(refused.length === 0 ? 'done' : 'failed');
    const verdict = this.#verdict();
    if (verdict) this.element.dataset.verdict = verdict.same ? 'same' : 'different';
    say(`${this.title}: ${verdict?.text ?? this.element.dataset.state}`);
  }

  async #draw(job) {
    const tileOf = data => job.tiles[data.imageIndex - job.first];
    for (const tile of job.tiles) tile.element.title = WAITS_FOR_TURN;
    for await (const {name, data} of generate(job.request, this.#abort.signal)) {
      if (name === 'turn') {
        job.hasTurn = true;
        for (const tile of job.tiles) tile.element.title = '';
        paintSoon(this);
      } else if (name === 'accepted') {
        for (const warning of data.warnings) this.#note(warning, job);
      } else if (name === 'progress') {
        this.#firstStep ??= performance.now();
        tileOf(data)?.progress(data);
        paintSoon(this);
      } else if (name === 'preview') {
        tileOf(data)?.preview(data);
      } else if (name === 'image') {
        await tileOf(data)?.finish(data, job.expected?.[data.imageIndex - job.first]);
      } else if (name === 'completed') {
        job.receipt = data.receipt;
      }
    }
  }

  // A grid may have as many as cells: the first are told, the others are on their tiles.
  #note(text, job) {
    if (this.jobs.length > 1) job.tiles[0].element.title = text;
    this.#notes++;
    this.#problems.hidden = false;
    if (this.#notes > MAX_NOTES + 1) this.#problems.lastChild.remove();
    const more = this.#notes - MAX_NOTES;
    this.#problems.append(make('li', {}, more > 0 ? `and ${more} more` : text));
  }

  #tell(error, job) {
    const where = this.jobs.length > 1 ? `${job.name}: ` : '';
    const again = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : '';
    this.#note(`${where}${error.message}${again}`, job);
    if (!(error instanceof Refusal)) return;
    const more = error.violations.filter(each => !error.message.includes(each.description));
    for (const {field, description} of more) this.#note(`${field}: ${description}`, job);
    if (this.jobs.length === 1) this.hooks.refused(error.violations);
  }

  // Of a replay, when it is drawn.
  #verdict() {
    if (!this.jobs[0].expected || this.element.dataset.state !== 'done') return null;
    const same = this.tiles.filter(tile => tile.same).length;
    const all = this.tiles.length;
    if (same === all) return {same: true, text: `The same bytes: ${same} of ${all}`};
    return {same: false, text: `Other bytes: ${all - same} of ${all}`};
  }

  paint() {
    let done = 0;
    let total = 0;
    const each = Math.max(1, ...this.tiles.map(tile => tile.stepsTotal));
    for (const tile of this.tiles) {
      total += tile.stepsTotal || each;
      done += tile.picture ? tile.stepsTotal || each : tile.stepsDone;
    }
    this.#bar.style.transform = `scaleX(${done / total})`;
    this.#status.textContent = this.#statusText(done, total);
  }

  #statusText(done, total) {
    const state = this.element.dataset.state;
    if (state === 'drawing') {
      if (!this.jobs.some(job => job.hasTurn)) return WAITS_FOR_TURN;
      if (this.#firstStep === undefined) return 'waiting';
      const left = (performance.now() - this.#firstStep) / done * (total - done) / 1000;
      return `${Math.floor(100 * done / total)} %, ${seconds(left)} left`;
    }
    this.took ??= (performance.now() - this.#began) / 1000;
    const text = {done: `in ${seconds(this.took)}`, cancelled: 'cancelled', failed: 'not drawn'}[state];
    return this.#verdict()?.text ?? text;
  }

  get receipt() {
    const receipts = this.jobs.map(job => job.receipt);
    return JSON.stringify(receipts.length === 1 ? receipts[0] : receipts, null, 2);
  }

  get fileName() {
    const {model, className, classId, seed} = this.jobs[0].receipt?.parameters ?? this.jobs[0].request;
    const label = className || (classId ?? '');
    return [model, label, seed].filter(part => part !== '').join('-').replace(/[^\w.-]+/g, '_').toLowerCase();
  }

  fileNameOf(tile) {
    return `${this.fileName}-${tile.name.replace(/\W+/g, '_').toLowerCase()}.png`;
  }

  async #copyReceipt() {
    // Shown as well: what is in a clipboard is not seen.
    this.#receiptText.value = this.receipt;
    this.element.append(this.#receiptText);
    try {
      await copy(this.receipt);
      say('The receipt is copied');
      this.#buttons.copy.textContent = 'Copied';
      setTimeout(() => { this.#buttons.copy.textContent = 'Copy receipt'; }, 2000);
    } catch {
      this.#receiptText.select();
    }
  }

  #saveReceipt() {
    save(`${this.fileName}.json`, new Blob([this.receipt], {type: 'application/json'}));
  }

  async #saveSheet() {
    const columns = this.labels?.columns.length ?? Math.ceil(Math.sqrt(this.tiles.length));
    const made = sheet(this.tiles.map(tile => tile.canvas), columns, this.labels);
    save(`${this.fileName}-sheet.png`, await toBlob(made));
  }

  #saveStart() {
    const {initImage, mask} = this.pictures;
    save(`${this.fileName}-start.png`, new Blob([fromBase64(initImage)]));
    if (mask) save(`${this.fileName}-mask.png`, new Blob([fromBase64(mask)]));
  }

  get historyBytes() {
    return this.tiles.flatMap(tile => tile.frames).reduce((sum, frame) => sum + frame.bytes.length, 0);
  }

  forgetHistory() {
    for (const tile of this.tiles) tile.frames = [];
  }

  #savePictures() {
    for (const tile of this.tiles) {
      if (tile.picture) save(this.fileNameOf(tile), new Blob([tile.picture]));
    }
  }
}

// Whether `pictures` are those that the receipt was drawn from.
export async function fits(receipt, pictures) {
  const {initImageSha256, maskSha256, initNoiseSha256} = receipt.parameters;
  const digest = async text => text ? sha256(fromBase64(text)) : '';
  return !initNoiseSha256 && await digest(pictures.initImage) === initImageSha256 &&
    await digest(pictures.mask) === maskSha256;
}

export function encodedPictures({picture, mask}) {
  const pictures = {};
  if (picture) pictures.initImage = toBase64(picture);
  if (mask) pictures.mask = toBase64(mask);
  return pictures;
}

export function addCard(card) {
  byId('empty').hidden = true;
  byId('cards').prepend(card.element);
  card.element.scrollIntoView({block: 'start'});
}
