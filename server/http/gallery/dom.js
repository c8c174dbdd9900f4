// What every part of the page does with its elements. Text is set as text: names of models and
// classes are somebody else's.

export function byId(id) {
  return document.getElementById(id);
}

// make('button', {class: 'primary', type: 'button', onclick: draw}, 'Draw')
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') element.className = value;
    else if (name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

// For those who hear the page.
export function say(text) {
  byId('said').textContent = text;
}

const dirty = new Set();

// Calls thing.paint() before the next frame, once however often it was asked for.
export function paintSoon(thing) {
  if (dirty.size === 0) {
    requestAnimationFrame(() => {
      const now = [...dirty];
      dirty.clear();
      for (const each of now) each.paint();
    });
  }
  dirty.add(thing);
}

// How large a picture of `width` is shown that should take about `wanted` CSS pixels: each of its
// pixels a whole number of the screen's, so that none is broader than its neighbour.
export function shownWidth(width, wanted) {
  const ratio = window.devicePixelRatio || 1;
  const factor = Math.floor((wanted * ratio) / width);
  return factor < 1 ? wanted : (width * factor) / ratio;
}

export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  make('a', {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
