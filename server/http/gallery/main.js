// The gallery: settings on one side, what was drawn with them on the other.

import {models, useToken} from './api.js';
import {addCard, Card, encodedPictures, fits, requestOf} from './card.js';
import {Comparison} from './comparison.js';
import {byId, make, say} from './dom.js';
import {ServerState} from './server_state.js';
import {classLabel, Settings} from './settings.js';
import {StartPicture} from './start_picture.js';
import {Viewer} from './viewer.js';

// Older ones go, so that a long session does not fill the memory; before that, their histories.
const MAX_CARDS = 60;
const MAX_HISTORY_BYTES = 256e6;

const cards = [];  // The newest first.
let settings;
let comparison;
const startPicture = new StartPicture();
const serverState = new ServerState(() => cards.some(card => card.isDrawing));
const viewer = new Viewer(blob => startPicture.take(blob));

function complain(error) {
  const text = error.message ?? String(error);
  byId('cards').prepend(make('p', {class: 'notice', onclick: event => event.target.remove(),
                                   title: 'Click to remove'}, text));
  say(text);
}

// Runs what a button asks for; what goes wrong is told on the page.
function told(action) {
  return async event => {
    event?.preventDefault?.();
    try {
      await action(event);
    } catch (error) {
      complain(error);
    }
  };
}

function nameOf(request, model) {
  const entry = model.classes.find(each => each.id === request.classId);
  return entry ? classLabel(entry) : model.name;
}

// `compared`: the options that differ from picture to picture.
function aboutOf(request, model, compared = []) {
  const {sampler, steps, guidanceScale, ...others} = request.sampling;
  const info = model.samplers.find(each => each.name === sampler);
  const parts = [model.name];
  if (!compared.includes('sampler')) parts.push(sampler);
  if (!compared.includes('steps')) parts.push(`${steps ?? info?.defaultSteps} steps`);
  if (guidanceScale !== undefined && !compared.includes('guidance_scale')) {
    parts.push(`guidance ${guidanceScale}`);
  }
  if (request.initImage) parts.push(request.mask ? 'from a picture, masked' : 'from a picture');
  for (const [name, value] of Object.entries(others)) {
    if (value !== model.defaults[name]) parts.push(`${name} ${value}`);
  }
  if (!compared.includes('seed')) parts.push(`seed ${request.seed}`);
  return parts.join(' · ');
}

const hooks = {
  open: (tile, card) => viewer.open(tile, card),
  replay: card => replay(card.jobs.map(job => job.receipt), card.pictures, card),
  use: parameters => told(() => settings.apply(parameters))(),
  refused: violations => settings.refuse(violations),
  removed: card => {
    cards.splice(cards.indexOf(card), 1);
    byId('empty').hidden = cards.length > 0;
  },
};

function start(spec) {
  let history = 0;
  for (const card of cards) {
    history += card.historyBytes;
    if (history > MAX_HISTORY_BYTES) card.forgetHistory();
  }
  const card = new Card({...spec, hooks});
  cards.unshift(card);
  addCard(card);
  const old = cards.slice(MAX_CARDS).filter(each => !each.isDrawing);
  for (const each of old) {
    each.element.remove();
    cards.splice(cards.indexOf(each), 1);
  }
  byId('seed-last').disabled = false;
  byId('seed-last').onclick = () => { byId('seed').value = spec.jobs[0].request.seed; };
  settings.refuse([]);
  card.run();
  serverState.ask();
}

async function drawPictures() {
  const pictures = encodedPictures(await startPicture.files());
  const request = settings.request(pictures);
  const model = settings.model;
  start({
    title: `${nameOf(request, model)} × ${request.count}`, about: aboutOf(request, model), model,
    pictures, jobs: [{request, count: request.count, first: 0}],
  });
}

async function drawGrid() {
  const pictures = encodedPictures(await startPicture.files());
  const request = settings.request(pictures);
  const model = settings.model;
  const {labels, requests, compared} = comparison.of(request);
  const jobs = requests.map((cell, index) => {
    const column = labels.columns[index % labels.columns.length];
    const row = labels.rows[Math.floor(index / labels.columns.length)];
    return {request: cell, count: 1, first: 0, name: row === '' ? column : `${row}, ${column}`};
  });
  const title = labels.y ? `${labels.x} × ${labels.y}` : labels.x;
  const entry = compared.includes('class') ? '' : `${nameOf(request, model)}: `;
  start({title: entry + title, about: aboutOf(request, model, compared), model, pictures, jobs, labels});
}

// `original`: the card that the receipts are of; from a file there is none.
async function replay(receipts, pictures, original) {
  return told(async () => {
    const jobs = [];
    for (const [index, receipt] of receipts.entries()) {
      if (!await fits(receipt, pictures) && crypto.subtle) {
        throw new Error('This receipt needs the picture that it was drawn from: start from that one');
      }
      const request = settings.withPreviews(requestOf(receipt, pictures));
      jobs.push({request, count: receipt.parameters.count, first: receipt.parameters.firstImageIndex ?? 0,
                 expected: receipt.imageSha256, name: original?.jobs[index].name});
    }
    const {request} = jobs[0];
    const model = settings.modelNamed(request.model);
    if (!model) throw new Error(`There is no model ${request.model} here`);
    const title = original?.title ?? `${nameOf(request, model)} × ${request.count}`;
    start({title: title.startsWith('Replay') ? title : `Replay: ${title}`, model, pictures, jobs,
           about: original?.about ?? aboutOf(request, model), labels: original?.labels});
  })();
}

async function replayFile(file) {
  const read = JSON.parse(await file.text());
  const receipts = Array.isArray(read) ? read : [read];
  if (!receipts.every(each => each?.parameters?.sampling && each.imageSha256)) {
    throw new Error(`${file.name} is no receipt`);
  }
  await replay(receipts, encodedPictures(await startPicture.files()));
}

async function load() {
  const list = await models();
  if (list.length === 0) throw new Error('The server has no model yet');
  byId('access').hidden = true;
  for (const notice of document.querySelectorAll('#cards > .notice')) notice.remove();
  settings = new Settings(list);
  comparison = new Comparison(settings);
  const refill = () => comparison.fill(startPicture.isSet);
  const useModel = () => startPicture.useModel(settings.model);
  settings.addEventListener('model', useModel);
  settings.addEventListener('options', refill);
  startPicture.addEventListener('change', refill);
  useModel();
  refill();
  byId('draw').disabled = false;
  serverState.start();
}

byId('settings').onsubmit = told(() => settings && drawPictures());
byId('compare-draw').onclick = told(drawGrid);
byId('reset').onclick = () => settings?.reset();
byId('receipt-file').onchange = told(async event => {
  const [file] = event.target.files;
  event.target.value = '';
  if (file) await replayFile(file);
});
byId('token-use').onclick = told(async () => {
  useToken(byId('token').value.trim());
  await load();
});
byId('token').onkeydown = event => {
  if (event.key !== 'Enter') return;
  event.preventDefault();
  byId('token-use').click();
};
addEventListener('who-asks', () => {
  byId('access').hidden = false;
  byId('token').focus();
});
addEventListener('keydown', event => {
  if (event.key === 'Escape' && !byId('viewer').open) cards.find(card => card.isDrawing)?.cancel();
  // Where no field or button takes it; with Ctrl everywhere.
  if (event.key !== 'Enter' || !settings || byId('viewer').open) return;
  const compares = ['x-values', 'y-values'].includes(event.target.id);
  if (!compares && !event.ctrlKey && event.target !== document.body) return;
  event.preventDefault();
  if (compares) byId('compare-draw').click();
  else byId('settings').requestSubmit();
});
// A browser may keep a page that was left, to come back to it, with all its connections.
addEventListener('pagehide', () => { for (const card of cards) card.cancel(); });
addEventListener('resize', () => { for (const card of cards) card.resize(); });
addEventListener('dragover', event => {
  event.preventDefault();
  document.body.classList.add('dragging');
});
addEventListener('dragleave', event => {
  if (!event.relatedTarget) document.body.classList.remove('dragging');
});
addEventListener('drop', told(async event => {
  document.body.classList.remove('dragging');
  const [file] = event.dataTransfer.files;
  if (!file) return;
  if (file.type.startsWith('image/')) await startPicture.take(file);
  else await replayFile(file);
}));

told(load)();
