// The server as this page asks it.

const TOKEN = 'diffusiond-token';

// Browsers open six connections to a server, for all tabs together; a stream holds one.
const MAX_STREAMS = 3;

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

let streams = 0;
const waiting = [];

async function turn(signal) {
  if (streams < MAX_STREAMS) {
    streams++;
    return;
  }
  await new Promise((resolve, reject) => {
    waiting.push(resolve);
    signal.addEventListener('abort', () => {
      const at = waiting.indexOf(resolve);
      if (at >= 0) waiting.splice(at, 1);
      reject(signal.reason);
    }, {once: true});
  });
}

function endTurn() {
  const next = waiting.shift();
  if (next) next();
  else streams--;
}

// The events of a GenerateRequest in proto3's JSON. Throws a Refusal, also for its event "error",
// and AbortError; an aborted one leaves the server's batch at the next step.
export async function* generate(request, signal) {
  signal.throwIfAborted();
  await turn(signal);
  try {
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
