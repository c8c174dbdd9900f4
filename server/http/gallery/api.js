// The server as this page asks it.

import {turn} from './turns.js';

const TOKEN = 'diffusiond-token';

// An answer to what is answered at once takes no longer, unless the server is not there.
const AT_ONCE_MS = 10000;

export class Refusal extends Error {
  constructor(status, error, retryAfter) {
    super(error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.violations = error?.violations ?? [];
    this.retryAfter = retryAfter;
  }
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = {...options.headers, ...(token ? {Authorization: `Bearer ${token}`} : {})};
  const reply = await fetch(path, {...options, headers});
  if (reply.ok) return reply;
  const body = await reply.json().catch(() => ({}));
  const refusal = new Refusal(reply.status, body.error, reply.headers.get('Retry-After'));
  if (reply.status === 401) dispatchEvent(new CustomEvent('who-asks'));
  throw refusal;
}

// Every Model, the default one first.
export async function models() {
  const list = await (await ask('/v1/models')).json();
  return list.data.map(entry => entry.diffusiond);
}

// GET /v1/state.
export async function serverState() {
  return (await ask('/v1/state', {cache: 'no-store', signal: AbortSignal.timeout(AT_ONCE_MS)})).json();
}

// {name, data} of each server-sent event; the server writes data as one line.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    text += value;
    let start = 0;
    for (let end; (end = text.indexOf('\n\n', start)) >= 0; start = end + 2) {
      const event = {};
      for (const line of text.slice(start, end).split('\n')) {
        if (line.startsWith('event: ')) event.name = line.slice(7);
        if (line.startsWith('data: ')) event.data = JSON.parse(line.slice(6));
      }
      if (event.name) yield event;
    }
    text = text.slice(start);
  }
}

// The events of a GenerateRequest in proto3's JSON, and before them "turn": it has a connection.
// Throws a Refusal, also for its event "error",
// and AbortError; an aborted one leaves the server's batch at the next step.
export async function* generate(request, signal) {
  signal.throwIfAborted();
  const endTurn = await turn(signal);
  try {
    yield {name: 'turn'};
    const reply = await ask('/v1/generate', {
      method: 'POST',
      headers: {'Content-Type': 'application/json', Accept: 'text/event-stream'},
      body: JSON.stringify(request),
      signal,
    });
    let completed = false;
    for await (const event of events(reply.body)) {
      if (event.name === 'error') throw new Refusal(reply.status, event.data.error);
      if (event.name === 'completed') completed = true;
      yield event;
    }
    if (!completed) throw new Error('the connection ended before the pictures were drawn');
  } finally {
    endTurn();
  }
}
