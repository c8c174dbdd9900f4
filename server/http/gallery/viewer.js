// One picture large, with the strip of its history.

import {byId, make, save, shownWidth} from './dom.js';
import {decode, draw, sheet, toBlob} from './pixels.js';
import {kindLabel} from './tile.js';

const STRIP = 12;  // Pictures of the strip below; a range goes through all of them.

export class Viewer {
  #card;
  #tile;
  #frames = [];  // {stepsDone, bytes}, the last one the picture if it is done.
  #asked = 0;    // Decoding is not done in order: what was asked for last is shown.

  constructor(startFrom) {
    byId('viewer-close').onclick = () => byId('viewer').close();
    byId('viewer').onclick = event => { if (event.target === byId('viewer')) byId('viewer').close(); };
    byId('viewer-step').oninput = () => this.#show();
    byId('viewer-kind').onchange = () => this.#load();
    byId('viewer-previous').onclick = () => this.#move(-1);
    byId('viewer-next').onclick = () => this.#move(1);
    byId('viewer-save').onclick = () =>
      save(this.#card.fileNameOf(this.#tile), new Blob([this.#frame.bytes]));
    byId('viewer-save-strip').onclick = () => this.#saveStrip();
    byId('viewer-start').onclick = () => {
      startFrom(new Blob([this.#frame.bytes]));
      byId('viewer').close();
    };
  }

  open(tile, card) {
    this.#card = card;
    this.#tile = tile;
    // The estimate first: it is what becomes the picture.
    const kinds = [...new Set(tile.frames.map(frame => frame.kind))].sort();
    const kept = byId('viewer-kind').value;
    byId('viewer-kind').replaceChildren(
      ...kinds.map(kind => make('option', {value: kind}, kindLabel(kind))));
    if (kinds.includes(kept)) byId('viewer-kind').value = kept;
    byId('viewer-kind').hidden = kinds.length < 2;
    this.#load();
    if (!byId('viewer').open) byId('viewer').showModal();
    byId('viewer-step').focus();
  }

  #move(by) {
    const tiles = this.#card.tiles;
    this.open(tiles[(tiles.indexOf(this.#tile) + by + tiles.length) % tiles.length], this.#card);
  }

  get #frame() {
    return this.#frames[Number(byId('viewer-step').value)];
  }

  async #load() {
    const tile = this.#tile;
    this.#frames = tile.frames.filter(frame => frame.kind === byId('viewer-kind').value);
    if (tile.picture) this.#frames.push({stepsDone: tile.stepsTotal, bytes: tile.picture});
    const last = Math.max(0, this.#frames.length - 1);
    Object.assign(byId('viewer-step'), {max: last, value: last, disabled: last === 0});
    for (const id of ['viewer-save', 'viewer-start']) byId(id).disabled = this.#frames.length === 0;
    byId('viewer-save-strip').disabled = last === 0;
    byId('viewer-title').textContent = `${tile.name}, ${this.#card.title}`;
    const canvas = byId('viewer-canvas');
    const {width, height} = this.#card.model;
    const wanted = Math.min(innerWidth - 150, (innerHeight - 280) * width / height, 560);
    canvas.style.width = `${shownWidth(width, wanted)}px`;
    canvas.classList.toggle('smooth', wanted < width);
    this.#show();
    const strip = await this.#stripCanvases();
    if (tile !== this.#tile) return;
    byId('viewer-strip').replaceChildren(...strip.map(({canvas: small, at}) => {
      small.onclick = () => {
        byId('viewer-step').value = at;
        this.#show();
      };
      return small;
    }));
  }

  async #stripCanvases() {
    const frames = this.#frames;
    const count = Math.min(STRIP, frames.length);
    const every = (frames.length - 1) / Math.max(1, count - 1);
    const chosen = Array.from({length: count}, (_, index) => Math.round(index * every));
    return Promise.all(chosen.map(async at => {
      const canvas = make('canvas');
      draw(canvas, await decode(frames[at].bytes));
      return {canvas, at};
    }));
  }

  async #saveStrip() {
    const canvases = (await this.#stripCanvases()).map(each => each.canvas);
    save(`${this.#card.fileName}-strip.png`, await toBlob(sheet(canvases, canvases.length)));
  }

  async #show() {
    const asked = ++this.#asked;
    const frame = this.#frame;
    byId('viewer-at').textContent = frame ? `${frame.stepsDone}/${this.#tile.stepsTotal}` : '';
    if (!frame) {
      draw(byId('viewer-canvas'), this.#tile.canvas);
      return;
    }
    const bitmap = await decode(frame.bytes);
    if (asked === this.#asked) draw(byId('viewer-canvas'), bitmap);
  }
}
