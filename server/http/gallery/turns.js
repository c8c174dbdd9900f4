// Who may hold a stream. A browser opens six connections to a server, for all tabs together, and a
// stream has one for itself as long as it draws: with five streams at most, one connection is always
// there for everything else.

const STREAMS = 5;

// Of each tab, where a page has no locks (neither https nor localhost) and tabs know nothing of each
// other.
const STREAMS_OF_TAB = 2;

const PLACES = Array.from({length: STREAMS}, (_, index) => `diffusiond-stream-${index}`);
const TAB = `diffusiond-tab-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;

// The first place that is free, kept until what this returns is called, or the tab is closed.
async function place(signal) {
  let leave;
  const left = new Promise(resolve => { leave = resolve; });
  const found = new AbortController();
  const ended = AbortSignal.any([signal, found.signal]);
  await new Promise((resolve, reject) => {
    const take = () => {
      if (signal.aborted) reject(signal.reason);
      if (ended.aborted) return undefined;
      found.abort();
      resolve();
      return left;
    };
    for (const name of PLACES) {
      navigator.locks.request(name, {signal: ended}, take).catch(error => {
        if (!found.signal.aborted) reject(error);
      });
    }
  });
  return leave;
}

let streams = 0;
const waiting = [];

async function placeOfTab(signal) {
  if (streams < STREAMS_OF_TAB) {
    streams++;
  } else {
    await new Promise((resolve, reject) => {
      waiting.push(resolve);
      signal.addEventListener('abort', () => {
        const at = waiting.indexOf(resolve);
        if (at >= 0) waiting.splice(at, 1);
        reject(signal.reason);
      }, {once: true});
    });
  }
  return () => {
    const next = waiting.shift();
    if (next) next();
    else streams--;
  };
}

// Waits for a turn; what it returns ends it, and is to be called. Of each tab one request is in the
// queue of all tabs, so a tab with many does not keep the others waiting. Throws AbortError.
export async function turn(signal) {
  if (!navigator.locks) return placeOfTab(signal);
  return navigator.locks.request(TAB, {signal},
    () => navigator.locks.request('diffusiond-streams', {signal}, () => place(signal)));
}
