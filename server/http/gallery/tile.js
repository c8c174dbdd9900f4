// One picture while it is drawn, and what it was on the way.

import {make, paintSoon} from './dom.js';
import {decode, draw, fromBase64, sha256} from './pixels.js';

const X_T = 'PREVIEW_KIND_X_T';
const X0_HAT = 'PREVIEW_KIND_X0_HAT';

// More are thinned out, so that a long drawing does not fill the memory.
const MAX_FRAMES = 256;

export class Tile {
  #bar = make('i', {class: 'bar'});
  #step = make('span', {class: 'step'});
  #inset = make('canvas', {class: 'inset', hidden: true});
  #wanted = new Map();  // Canvas to the newest bytes that it has not shown.
  #busy = new Set();    // Canvases whose bytes are being decoded.
  #shown;

  frames = [];  // {kind, stepsDone, bytes}, as they came.
  stepsDone = 0;
  stepsTotal = 0;
  picture;    // The file that was sent, when it is there.
  same;       // Of a replay: whether its bytes are those of the receipt.

  constructor(name, model, kind, onOpen) {
    this.name = name;
    this.#shown = kind === X_T ? X_T : X0_HAT;
    this.canvas = make('canvas', {width: model.width, height: model.height});
    this.element = make('button', {class: 'tile', type: 'button', onclick: () => onOpen(this)},
                        this.canvas, this.#inset, this.#step, this.#bar);
    this.element.dataset.state = 'waiting';
    this.element.setAttribute('aria-label', name);
  }

  progress({stepsDone, stepsTotal}) {
    this.stepsDone = stepsDone;
    this.stepsTotal = stepsTotal;
    if (this.element.dataset.state === 'waiting') this.element.dataset.state = 'drawing';
    paintSoon(this);
  }

  preview({kind, stepsDone, data}) {
    this.stepsDone = Math.max(this.stepsDone, stepsDone);  // Progress comes less often.
    const frame = {kind, stepsDone, bytes: fromBase64(data)};
    this.frames.push(frame);
    if (this.frames.length > MAX_FRAMES) {
      const steps = [...new Set(this.frames.map(each => each.stepsDone))];
      const odd = new Set(steps.filter((_, index) => index % 2 === 1));
      this.frames = this.frames.filter(each => !odd.has(each.stepsDone));
    }
    this.#inset.hidden = this.#inset.hidden && kind === this.#shown;
    this.#wanted.set(kind === this.#shown ? this.canvas : this.#inset, frame.bytes);
    paintSoon(this);
  }

  // `expected`: the digest that a receipt has of it, if it is a replay.
  async finish({data, sha256: told}, expected) {
    this.picture = fromBase64(data);
    this.#wanted.clear();
    await this.#show(this.canvas, this.picture);
    this.end('done');
    const digest = await sha256(this.picture) ?? told;
    if (digest !== told) throw new Error(`${this.name} is not what the server sent: its digest differs`);
    if (expected === undefined) return;
    this.same = digest === expected;
    this.element.dataset.same = this.same;
  }

  end(state, why) {
    if (this.element.dataset.state === 'done') return;
    this.element.dataset.state = state;
    if (why) this.element.title = why;
    this.#inset.hidden = true;
    paintSoon(this);
  }

  paint() {
    const state = this.element.dataset.state;
    const part = state === 'done' ? 1 : this.stepsDone / (this.stepsTotal || 1);
    this.#bar.style.transform = `scaleX(${part})`;
    this.#step.textContent = state === 'drawing' ? `${this.stepsDone}/${this.stepsTotal}` : '';
    this.element.dataset.steps = this.stepsDone;
    for (const [canvas, bytes] of this.#wanted) {
      if (this.#busy.has(canvas)) continue;  // What is newest then is shown when it is done.
      this.#wanted.delete(canvas);
      this.#show(canvas, bytes);
    }
  }

  async #show(canvas, bytes) {
    this.#busy.add(canvas);
    try {
      const bitmap = await decode(bytes);
      // A preview that was longer in decoding than the picture comes too late.
      if (!this.picture || bytes === this.picture) draw(canvas, bitmap);
      bitmap.close();
    } finally {
      this.#busy.delete(canvas);
      if (this.#wanted.size > 0) paintSoon(this);
    }
  }
}

export function kindLabel(kind) {
  return kind === X_T ? 'noisy picture (xₜ)' : 'estimate (x̂₀)';
}
