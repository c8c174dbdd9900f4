// The grid of two options: which requests it is.

import {byId, make} from './dom.js';

const MAX_CELLS = 256;

function listOf(text) {
  return text.split(',').map(value => value.trim()).filter(value => value !== '');
}

export class Comparison {
  #settings;
  #axes = [];

  constructor(settings) {
    this.#settings = settings;
    for (const side of ['x', 'y']) {
      byId(`${side}-axis`).onchange = () => this.#suggest(side);
    }
  }

  // Anew, after a change of what can be compared.
  fill(hasPicture) {
    this.#axes = this.#settings.axes(hasPicture);
    const first = {x: 'steps', y: 'sampler'};
    for (const side of ['x', 'y']) {
      const select = byId(`${side}-axis`);
      const chosen = select.options.length > 0 ? select.value : first[side];
      select.replaceChildren(
        ...(side === 'y' ? [make('option', {value: ''}, 'none')] : []),
        ...this.#axes.map(axis => make('option', {value: axis.name}, axis.label)));
      const isThere = chosen === '' || this.#axes.some(axis => axis.name === chosen);
      if (isThere) select.value = chosen;
      if (!isThere || byId(`${side}-values`).value === '') this.#suggest(side);
    }
  }

  #axis(side) {
    return this.#axes.find(axis => axis.name === byId(`${side}-axis`).value);
  }

  #suggest(side) {
    const axis = this.#axis(side);
    byId(`${side}-values`).value = axis ? axis.examples.slice(0, 10).join(', ') : '';
    byId(`${side}-values`).hidden = !axis;
  }

  // {labels, requests, compared}: row by row. Throws what is wrong with a value.
  of(request) {
    const x = this.#axis('x');
    const y = this.#axis('y');
    if (x === y) throw new Error('Columns and rows compare the same');
    const columns = listOf(byId('x-values').value);
    const rows = y ? listOf(byId('y-values').value) : [''];
    if (columns.length === 0 || rows.length === 0) {
      throw new Error('A grid needs values, with commas between');
    }
    if (columns.length * rows.length > MAX_CELLS) throw new Error(`A grid has at most ${MAX_CELLS} cells`);
    const requests = rows.flatMap(row => columns.map(column => {
      const cell = {...structuredClone(request), count: 1};
      // The sampler first: it says which of the others are read.
      const choices = [[x, column], ...(y ? [[y, row]] : [])].sort(([a]) => a.name === 'sampler' ? -1 : 1);
      for (const [axis, value] of choices) axis.set(cell, value);
      return this.#settings.withPreviews(cell);
    }));
    const labels = {x: x.label, columns, y: y?.label, rows};
    return {labels, requests, compared: [x.name, y?.name]};
  }
}
