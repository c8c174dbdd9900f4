// The picture to start from, at the model's size, and the mask that is painted on it. It is brought
// to that size here, so that what is painted on are the pixels that the model gets.

import {byId, shownWidth} from './dom.js';
import {encodePng} from './pixels.js';

export class StartPicture extends EventTarget {
  #source;  // ImageBitmap; undefined: none.
  #model;
  #picture = byId('start-canvas');
  #mask = byId('mask-canvas');
  #painted = false;
  #pen;  // Where the brush was.

  constructor() {
    super();
    byId('start-file').onchange = event => this.take(event.target.files[0]);
    byId('start-remove').onclick = () => this.remove();
    byId('mask-clear').onclick = () => this.#clearMask();
    byId('start-contain').onchange = () => this.#render();
    byId('start-invert').onchange = () => this.#render();
    this.#mask.onpointerdown = event => this.#paint(event, true);
    this.#mask.onpointermove = event => this.#paint(event, event.buttons === 1);
  }

  get isSet() {
    return this.#source !== undefined;
  }

  useModel(model) {
    this.#model = model;
    if (this.isSet) this.#render();
  }

  async take(blob) {
    if (!blob) return;
    this.#source = await createImageBitmap(blob);
    byId('start').open = true;
    this.#render();
    this.dispatchEvent(new Event('change'));
  }

  remove() {
    this.#source = undefined;
    byId('start-file').value = '';
    byId('start-editor').hidden = true;
    byId('drop').hidden = false;
    this.dispatchEvent(new Event('change'));
  }

  #render() {
    if (!this.isSet) return;
    const {width, height, channels} = this.#model;
    byId('start-editor').hidden = false;
    byId('drop').hidden = true;
    for (const canvas of [this.#picture, this.#mask]) Object.assign(canvas, {width, height});
    const shown = shownWidth(width, 252);
    byId('easel').style.width = `${shown}px`;
    byId('easel').style.height = `${shown * height / width}px`;
    const source = this.#source;
    const ratios = [width / source.width, height / source.height];
    const scale = byId('start-contain').checked ? Math.min(...ratios) : Math.max(...ratios);
    const context = this.#picture.getContext('2d', {willReadFrequently: true});
    context.imageSmoothingEnabled = scale !== 1;
    context.imageSmoothingQuality = 'high';
    context.fillStyle = '#000';
    context.fillRect(0, 0, width, height);
    context.drawImage(source, (width - source.width * scale) / 2, (height - source.height * scale) / 2,
                      source.width * scale, source.height * scale);
    const pixels = context.getImageData(0, 0, width, height);
    const invert = byId('start-invert').checked;
    for (let i = 0; i < pixels.data.length; i += 4) {
      const rgb = pixels.data.subarray(i, i + 3);
      if (channels === 1) rgb.fill(Math.round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]));
      if (invert) rgb.forEach((value, at) => { rgb[at] = 255 - value; });
    }
    context.putImageData(pixels, 0, 0);
    this.#clearMask();
  }

  #clearMask() {
    this.#mask.getContext('2d').clearRect(0, 0, this.#mask.width, this.#mask.height);
    this.#painted = false;
  }

  #paint(event, isDown) {
    if (!isDown) {
      this.#pen = undefined;
      return;
    }
    event.preventDefault();
    if (event.type === 'pointerdown') this.#mask.setPointerCapture(event.pointerId);
    const box = this.#mask.getBoundingClientRect();
    const scale = this.#mask.width / box.width;
    const size = Number(byId('brush').value) * Math.max(1, Math.round(this.#mask.width / 64));
    const context = this.#mask.getContext('2d', {willReadFrequently: true});
    context.fillStyle = '#f43';
    // From where it was to where it is, in whole pixels: a mask of none but black and white.
    const at = {x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale};
    const from = event.type === 'pointerdown' ? at : this.#pen ?? at;
    const points = Math.ceil(Math.max(Math.abs(at.x - from.x), Math.abs(at.y - from.y), 1));
    for (let i = 1; i <= points; i++) {
      const x = Math.round(from.x + (at.x - from.x) * i / points - size / 2);
      const y = Math.round(from.y + (at.y - from.y) * i / points - size / 2);
      if (byId('erase').checked) context.clearRect(x, y, size, size);
      else context.fillRect(x, y, size, size);
    }
    this.#pen = at;
    this.#painted = true;
  }

  // {picture, mask}: PNG files; without what there is none of.
  async files() {
    if (!this.isSet) return {};
    const {width, height, channels} = this.#model;
    const rgba = this.#picture.getContext('2d').getImageData(0, 0, width, height).data;
    const pixels = new Uint8Array(width * height * channels);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < channels; c++) pixels[i * channels + c] = rgba[i * 4 + c];
    }
    const files = {picture: await encodePng(width, height, channels, pixels)};
    const alpha = this.#mask.getContext('2d').getImageData(0, 0, width, height).data
      .filter((_, index) => index % 4 === 3);
    if (this.#painted && alpha.some(value => value > 0)) {
      files.mask = await encodePng(width, height, 1, Uint8Array.from(alpha));
    }
    return files;
  }
}
