// The corner that shows how much the server has to do. It asks every second while there is
// something, more rarely while there is nothing, and not at all while nobody sees the page.

import {serverState} from './api.js';
import {byId, say} from './dom.js';

const BUSY_MS = 1000;
const IDLE_MS = 5000;

// Over less, a rate says nothing.
const LEAST_SECONDS = 0.5;

function decimal(value) {
  return String(Number(value.toFixed(value < 10 ? 1 : 0)));
}

function put(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

export class ServerState {
  #isDrawing;       // Whether this page has something in work.
  #isOn = false;
  #isAsking = false;
  #timer;
  #from;            // The answer that rates are counted from.
  #rates = {};

  constructor(isDrawing) {
    this.#isDrawing = isDrawing;
    document.addEventListener('visibilitychange', () => this.ask());
  }

  // From now on, by the token that there is.
  start() {
    this.#isOn = true;
    this.ask();
  }

  // Now, and again when it is time.
  async ask() {
    clearTimeout(this.#timer);
    if (!this.#isOn || this.#isAsking || document.hidden) return;
    this.#isAsking = true;
    let busy = false;
    try {
      const state = await serverState();
      busy = state.waitingTrajectories + state.residentTrajectories > 0;
      this.#show(state);
    } catch (error) {
      // Who may not know it asks again with another token.
      if ([401, 403].includes(error.status)) this.#isOn = false;
      this.#complain(error.status ? error.message : 'the server does not answer');
    }
    this.#isAsking = false;
    if (!this.#isOn || document.hidden) return;
    this.#timer = setTimeout(() => this.ask(), busy || this.#isDrawing() ? BUSY_MS : IDLE_MS);
  }

  #count(state) {
    const seconds = state.uptimeSeconds - this.#from?.uptimeSeconds;
    if (seconds >= 0 && seconds < LEAST_SECONDS) return;
    const steps = state.stepBatches - this.#from?.stepBatches;
    const passes = state.networkPasses - this.#from?.networkPasses;
    // Negative: the server was started again.
    this.#rates = seconds > 0 ? {steps: steps / seconds, passes: steps > 0 ? passes / steps : undefined} : {};
    this.#from = state;
  }

  #show(state) {
    this.#count(state);
    const {steps, passes} = this.#rates;
    const {workers, workersUp} = state;
    put('state-waiting', `${state.waitingTrajectories} / ${state.trajectoriesLimit}`);
    put('state-resident', `${state.residentTrajectories} / ${state.residentTrajectoriesLimit}`);
    put('state-passes', passes === undefined ? '–' : decimal(passes));
    put('state-steps', steps === undefined ? '–' : decimal(steps));
    put('state-workers', workersUp === workers ? `${workers}` : `${workersUp} of ${workers}`);
    byId('state-workers').classList.toggle('bad', workersUp < workers);
    if (byId('state').hidden && byId('state-silent').textContent !== '') say('the server answers again');
    byId('state').hidden = false;
    put('state-silent', '');
  }

  #complain(text) {
    if (byId('state-silent').textContent === text) return;
    byId('state').hidden = true;
    this.#from = undefined;
    put('state-silent', text);
    say(text);
  }
}
