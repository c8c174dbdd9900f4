// The form: what is to be drawn, in the words of the chosen model.

import {Control} from './controls.js';
import {byId, make} from './dom.js';

const KEPT = 'diffusiond-settings';
const MAIN = ['steps', 'guidance_scale'];
const GUIDANCE = ['guidance_sigma_min', 'guidance_sigma_max', 'guidance_rescale', 'classifier_scale'];
const SHIFTS = 2n ** 64n;

export function classLabel(entry) {
  return entry.name || `class ${entry.id}`;
}

export function randomSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

function sliderOf(name, model) {
  if (name === 'count') return {low: 1, high: model.limits.maxCount, step: 1};
  if (name === 'steps') return {low: 1, high: Math.min(100, model.limits.maxSteps), step: 1};
  if (name === 'guidance_scale') {
    return {low: 0, high: Math.min(10, model.limits.maxGuidanceScale), step: 0.25};
  }
  if (name === 'strength') return {low: 0.05, high: 1, step: 0.05};
  return undefined;
}

export class Settings extends EventTarget {
  #models;
  #controls = new Map();
  #sampler;
  #count;

  constructor(models) {
    super();
    this.#models = models;
    byId('model').replaceChildren(...models.map(model => make('option', {value: model.name}, model.name)));
    byId('model').onchange = () => this.#useModel();
    byId('class').onchange = () => this.#showWhatActs();
    byId('start').addEventListener('toggle', () => this.#showWhatActs());
    byId('settings').addEventListener('change', () => this.#keep());
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) byId('every').value = 0;
    this.#useModel();
    this.#restore();
  }

  get model() {
    return this.#models.find(model => model.name === byId('model').value);
  }

  modelNamed(name) {
    return this.#models.find(model => model.name === name);
  }

  #useModel() {
    const model = this.model;
    const kept = new Map([...this.#controls].map(([name, control]) => [name, control.input.value]));
    this.#controls.clear();
    const info = {name: 'count', kind: 'OPTION_KIND_INTEGER', low: 1, high: model.limits.maxCount, help: ''};
    const count = this.#count?.value ?? Math.min(8, model.limits.maxCount);
    this.#count = new Control(info, 1, sliderOf('count', model));
    this.#count.element.firstChild.textContent = 'Pictures';
    this.#count.value = Math.min(count, model.limits.maxCount);
    for (const option of model.options) {
      if (option.name === 'sampler') continue;
      const limit = option.name === 'steps' ? {...option, high: model.limits.maxSteps} : option;
      const control = new Control(limit, model.defaults[new Control(limit).key],
                                  sliderOf(option.name, model));
      this.#controls.set(option.name, control);
      if (kept.get(option.name)) control.value = kept.get(option.name);
    }
    this.#fillClasses();
    this.#fillSamplers();
    byId('main-fields').replaceChildren(
      this.#count.element, this.#sampler.element, ...MAIN.map(name => this.#controls.get(name).element));
    byId('start-fields').replaceChildren(this.#controls.get('strength').element);
    byId('guidance-fields').replaceChildren(...GUIDANCE.map(name => this.#controls.get(name).element));
    byId('model-warnings').replaceChildren(...model.warnings.map(text => make('li', {}, text)));
    byId('model-warnings').hidden = model.warnings.length === 0;
    byId('server-line').textContent =
      `${model.width} × ${model.height}, ${(Number(model.numParameters) / 1e6).toFixed(1)} M parameters, ` +
      `${model.numerics.deviceKind}, version ${model.numerics.serverVersion}`;
    this.#useSampler();
    this.dispatchEvent(new Event('model'));
  }

  #fillClasses() {
    const model = this.model;
    const chosen = byId('class').options.length > 0 ? byId('class').value : undefined;
    const options = model.classes.map(entry => make('option', {value: entry.id}, classLabel(entry)));
    if (!model.needsClass) options.push(make('option', {value: ''}, 'none (unconditional)'));
    byId('class').replaceChildren(...options);
    byId('class').value = options.some(option => option.value === chosen) ? chosen : options[0].value;
    byId('class-field').hidden = model.classes.length === 0;
  }

  #fillSamplers() {
    const model = this.model;
    const chosen = this.#sampler?.input.value;
    const input = make('select', {id: 'option-sampler', 'aria-describedby': 'option-sampler-help'},
      ...model.samplers.map(sampler => make('option', {value: sampler.name}, sampler.name)),
      ...model.unavailableSamplers.map(sampler => make('option', {disabled: true, title: sampler.reason},
                                                       `${sampler.name} (not here)`)));
    const help = make('p', {class: 'help', id: 'option-sampler-help'});
    input.value = model.samplers.some(each => each.name === chosen) ? chosen : model.defaults.sampler;
    input.onchange = () => this.#useSampler();
    this.#sampler = {input, help, element: make('div', {class: 'field'},
      make('label', {htmlFor: input.id}, 'Sampler'), input, help)};
  }

  get sampler() {
    return this.model.samplers.find(sampler => sampler.name === this.#sampler.input.value);
  }

  #useSampler() {
    const sampler = this.sampler;
    this.#sampler.help.textContent = sampler.description;
    this.#controls.get('steps').setFallback(sampler.defaultSteps);
    byId('sampler-fields').replaceChildren(
      ...sampler.options.map(name => this.#controls.get(name).element));
    byId('more').hidden = sampler.options.length === 0;
    this.#showWhatActs();
    this.dispatchEvent(new Event('options'));
  }

  #showWhatActs() {
    const model = this.model;
    const asksClass = model.classes.length > 0 && byId('class').value !== '';
    const guides = asksClass && model.hasNullClass;
    const classifies = asksClass && model.hasClassifier;
    this.#controls.get('guidance_scale').element.hidden = !guides;
    this.#controls.get('guidance_rescale').element.hidden = !guides;
    this.#controls.get('classifier_scale').element.hidden = !classifies;
    byId('guiding').hidden = !guides && !classifies;
    byId('every').max = this.#controls.get('steps').effective;
  }

  // What acts: neither hidden nor of another sampler.
  #acting(sampler) {
    const names = [...MAIN, ...GUIDANCE, ...sampler.options];
    const guides = !byId('guiding').hidden;
    return names.map(name => this.#controls.get(name)).filter(
      control => !control.element.hidden && (guides || !GUIDANCE.includes(control.name)));
  }

  // A GenerateRequest without its pictures. Throws what is wrong with a field.
  request(pictures) {
    const model = this.model;
    const sampling = {sampler: this.sampler.name};
    const request = {model: model.name, count: this.#count.value ?? 1, sampling};
    const seed = byId('seed').value.trim();
    if (seed !== '' && !(/^\d+$/.test(seed) && BigInt(seed) < SHIFTS)) {
      throw new Error('Seed: a whole number from 0 to 2^64 - 1');
    }
    request.seed = seed === '' ? randomSeed() : seed;
    const chosen = byId('class').value;
    if (model.classes.length > 0 && chosen !== '') request.classId = Number(chosen);
    for (const control of this.#acting(this.sampler)) {
      if (control.value !== undefined) request.sampling[control.key] = control.value;
    }
    if (pictures.initImage) {
      Object.assign(request, pictures);
      const strength = this.#controls.get('strength').value;
      if (strength !== undefined) request.sampling.strength = strength;
    }
    return this.withPreviews(request);
  }

  withPreviews(request) {
    const sampler = this.modelNamed(request.model)?.samplers.find(
      each => each.name === request.sampling.sampler);
    const steps = request.sampling.steps ?? sampler?.defaultSteps ?? 1;
    const everySteps = Math.min(Math.max(0, Number(byId('every').value) || 0), steps);
    return {...request, preview: {everySteps, kind: byId('kind').value}};
  }

  // {name, label, examples, set(request, text)} of all that a grid can compare.
  axes(hasPicture) {
    const model = this.model;
    const find = text => model.classes.find(
      entry => classLabel(entry).toLowerCase() === text.toLowerCase() || String(entry.id) === text);
    const axes = [{name: 'seed', label: 'Seed', examples: [1, 2, 3, 4],
                   set: (request, text) => { request.seed = text; }}];
    if (model.classes.length > 0) {
      axes.unshift({name: 'class', label: 'Class', examples: model.classes.slice(0, 10).map(classLabel),
        set: (request, text) => {
          const found = find(text);
          if (!found) throw new Error(`Class: there is no ${text}`);
          request.classId = found.id;
        }});
    }
    axes.push({name: 'sampler', label: 'Sampler', examples: model.samplers.map(each => each.name),
      set: (request, text) => this.#setSampler(request, text)});
    const controls = this.#acting(this.sampler);
    if (hasPicture) controls.push(this.#controls.get('strength'));
    for (const control of controls) {
      axes.push({name: control.name, label: control.element.firstChild.textContent,
                 examples: control.examples(),
                 set: (request, text) => { request.sampling[control.key] = control.parse(text); }});
    }
    return axes;
  }

  // Another one: what it does not read is not asked of it.
  #setSampler(request, name) {
    const sampler = this.model.samplers.find(each => each.name === name);
    if (!sampler) throw new Error(`Sampler: there is no ${name}`);
    request.sampling.sampler = name;
    for (const control of this.#controls.values()) {
      const read = [...MAIN, ...GUIDANCE, 'strength', ...sampler.options].includes(control.name);
      if (!read) delete request.sampling[control.key];
    }
  }

  // Takes over what a receipt says.
  apply(parameters) {
    if (!this.modelNamed(parameters.model)) throw new Error(`There is no model ${parameters.model} here`);
    byId('model').value = parameters.model;
    this.#sampler.input.value = parameters.sampling.sampler;
    this.#useModel();
    byId('class').value = parameters.classId ?? '';
    byId('seed').value = parameters.seed;
    this.#count.value = parameters.count;
    const defaults = this.model.defaults;
    for (const control of this.#controls.values()) {
      const value = parameters.sampling[control.key];
      const isDefault = value === defaults[control.key] && control.name !== 'steps';
      control.value = isDefault ? undefined : value;
    }
    this.#showWhatActs();
    this.#keep();
  }

  // Marks the fields that the server refused.
  refuse(violations) {
    for (const control of [this.#count, ...this.#controls.values()]) {
      const found = violations.find(each => each.field.split('.').pop() === control.name);
      control.refuse(found?.description ?? '');
    }
  }

  reset() {
    sessionStorage.removeItem(KEPT);
    for (const control of this.#controls.values()) control.value = undefined;
    this.#sampler.input.value = this.model.defaults.sampler;
    byId('seed').value = '';
    this.#useSampler();
    this.refuse([]);
  }

  // For a page that is loaded anew; of this tab alone.
  #keep() {
    const fields = {};
    for (const input of byId('settings').querySelectorAll('input, select')) {
      if (!['file', 'password', 'checkbox'].includes(input.type) && input.id) fields[input.id] = input.value;
    }
    sessionStorage.setItem(KEPT, JSON.stringify(fields));
  }

  #restore() {
    const fields = JSON.parse(sessionStorage.getItem(KEPT) ?? '{}');
    if (this.modelNamed(fields.model)) byId('model').value = fields.model;
    this.#useModel();
    const sampler = this.model.samplers.find(each => each.name === fields['option-sampler']);
    if (sampler) this.#sampler.input.value = sampler.name;
    this.#useSampler();
    for (const control of [this.#count, ...this.#controls.values()]) {
      const value = fields[control.input.id];
      if (value) control.value = value;
    }
    for (const id of ['class', 'seed', 'every', 'kind']) {
      const input = byId(id);
      const isThere = [...input.options ?? []].some(each => each.value === fields[id]) || !input.options;
      if (fields[id] !== undefined && isThere) input.value = fields[id];
    }
    this.#showWhatActs();
  }
}
