// An input for a field of SamplingOptions, made of the OptionInfo that the server gives of it.

import {make} from './dom.js';

const LABELS = {guidance_scale: 'Guidance', steps: 'Steps'};

function camel(name) {
  return name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
}

export function labelOf(name) {
  const words = name.replaceAll('_', ' ');
  return LABELS[name] ?? words[0].toUpperCase() + words.slice(1);
}

function rangeOf(option) {
  const least = option.lowExcluded ? `above ${option.low}` : `${option.low}`;
  if (option.high === 'Infinity') return `${least} or more`;
  return `${least} to ${option.high}`;
}

// An option of all requests: its input is empty while the model's default holds. `slider`: {low,
// high, step}, the part of the range that a hand wants; the number beside it takes all of it.
export class Control {
  #option;
  #fallback;  // What holds while nothing is chosen; undefined: not known here.
  #slider;

  constructor(option, fallback, slider) {
    this.#option = option;
    this.name = option.name;
    this.key = camel(option.name);  // In proto3's JSON.
    const id = `option-${option.name}`;
    this.input = this.#isChoice() ? make('select', {id}) : make('input', {id, type: 'number'});
    this.input.setAttribute('aria-describedby', `${id}-help`);
    const label = make('label', {htmlFor: id}, labelOf(option.name));
    const help = make('p', {class: 'help', id: `${id}-help`}, option.help);
    if (!this.#isChoice()) {
      this.input.step = option.kind === 'OPTION_KIND_INTEGER' ? 1 : 'any';
      this.input.min = option.low;
      if (option.high !== 'Infinity') this.input.max = option.high;
      help.append(help.textContent ? ` (${rangeOf(option)})` : rangeOf(option));
    }
    const inputs = make('div', {class: 'pair'}, this.input);
    if (slider) {
      this.#slider = make('input', {type: 'range', tabIndex: -1, min: slider.low, max: slider.high,
                                    step: slider.step, 'aria-hidden': 'true'});
      this.#slider.oninput = () => { this.input.value = this.#slider.value; };
      this.input.addEventListener('input', () => this.#follow());
      inputs.prepend(this.#slider);
    }
    this.element = make('div', {class: 'field'}, label, inputs, help);
    this.setFallback(fallback);
  }

  #isChoice() {
    return ['OPTION_KIND_WORD', 'OPTION_KIND_SWITCH'].includes(this.#option.kind);
  }

  #follow() {
    if (this.#slider) this.#slider.value = this.input.value === '' ? this.#fallback : this.input.value;
  }

  setFallback(fallback) {
    this.#fallback = fallback;
    if (this.#isChoice()) {
      const chosen = this.input.value;
      const isSwitch = this.#option.kind === 'OPTION_KIND_SWITCH';
      const said = isSwitch && fallback !== undefined ? (fallback ? 'on' : 'off') : fallback;
      const choices = isSwitch ? [['true', 'on'], ['false', 'off']]
                               : this.#option.words.map(word => [word, word]);
      this.input.replaceChildren(
        make('option', {value: ''}, said === undefined ? 'default' : `default: ${said}`),
        ...choices.map(([value, text]) => make('option', {value}, text)));
      this.input.value = chosen;
    } else {
      this.input.placeholder = fallback ?? 'default';
      this.#follow();
    }
  }

  // As proto3's JSON has it; undefined: the default.
  get value() {
    if (this.input.value === '') return undefined;
    return this.parse(this.input.value);
  }

  // Of text, as a person writes it; throws what is wrong with it.
  parse(text) {
    if (this.#option.kind === 'OPTION_KIND_WORD') return text;
    if (this.#option.kind === 'OPTION_KIND_SWITCH') return text === 'true' || text === 'on';
    const number = Number(text);
    if (text.trim() === '' || Number.isNaN(number)) {
      throw new Error(`${labelOf(this.name)}: ${text} is no number`);
    }
    return number === Infinity ? 'Infinity' : number;
  }

  get effective() {
    return this.value ?? this.#fallback;
  }

  set value(value) {
    this.input.value = value ?? '';
    this.#follow();
  }

  // Some of its values, for who compares.
  examples() {
    if (this.#option.kind === 'OPTION_KIND_SWITCH') return ['on', 'off'];
    if (this.#option.kind === 'OPTION_KIND_WORD') return this.#option.words;
    const {low, high} = this.#option;
    if (this.name === 'steps') return [2, 4, 8, 15, 30];
    if (this.name === 'guidance_scale') return [1, 1.5, 3, 6];
    if (high <= 10) {
      if (this.#option.kind === 'OPTION_KIND_INTEGER') {
        return Array.from({length: high - low + 1}, (_, index) => low + index);
      }
      const from = this.#option.lowExcluded ? high / 4 : low;
      return [0, 1, 2, 3].map(part => Number((from + (high - from) * part / 3).toFixed(2)));
    }
    return this.#fallback === undefined ? [low] : [this.#fallback];
  }

  refuse(text) {
    this.element.classList.toggle('wrong', text !== '');
    this.input.setAttribute('aria-invalid', text !== '');
    this.input.title = text;
  }
}
