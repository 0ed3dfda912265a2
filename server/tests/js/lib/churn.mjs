//! Clients that come and go all the time, in every way a client can, each with a token of its own.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { disconnected, openClient, refused, TRANSPORTS } from './client.mjs';
import { short } from './soak.mjs';
import { ahead, REFUSED, token } from './tokens.mjs';

const LONG_S = 600;
/** Long enough to be let in and served first, on a machine that is busy with something else. */
const SHORT_S = short(3, 8);
/** When somebody whose token ended must be gone, on such a machine. */
const LATE_MS = 40_000;
const sub = 'passer-by';
const shows = (seconds) => token({ sub, exp: ahead(seconds) });

/** Asks once, and is answered with what it asked. */
async function served(client, n) {
  assert.deepEqual(await client.call('number', { n }), [{ ok: true, data: { n } }]);
}

/** The lives of a client of `/proto`: how long its first token is good, and what it does. */
const LIVES = {
  leaves: { seconds: LONG_S, live: (client) => client.close() },
  vanishes: { seconds: LONG_S, live: (client) => (client.io.engine.transport.ws ? client.io.engine.transport.ws.terminate() : client.close()) },
  expires: { seconds: SHORT_S, live: (client) => disconnected(client, LATE_MS) },
  refreshes: {
    seconds: SHORT_S,
    live: async (client) => {
      assert.equal((await client.call('refresh_token', { token: shows(LONG_S) }))[0].ok, true);
      // By then the first one would have ended it.
      await pause((SHORT_S + 1.5) * 1_000);
      await served(client, -1);
      client.close();
    },
  },
};
const KINDS = [...Object.keys(LIVES), 'refused'];

/** A crowd that is renewed all the time. */
export class Churn {
  constructor(url) {
    this.url = url;
    this.counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
    this.next = 0;
    this.faults = [];
  }

  /** So many new clients a second for so long; resolves when the last of them is gone. */
  async run(perSecond, ms) {
    const lives = new Set();
    const [from, first] = [performance.now(), this.next];
    for (let passed = 0; passed < ms; passed = performance.now() - from) {
      while (this.next - first < (passed * perSecond) / 1000) {
        const kind = KINDS[this.next % KINDS.length];
        const life = this.live(kind, this.next).then(() => { this.counts[kind] += 1; }, (error) => this.faults.push(`${kind} ${error.message}`));
        lives.add(life);
        life.then(() => lives.delete(life));
        this.next += 1;
      }
      await pause(5);
    }
    await Promise.all(lives);
    assert.deepEqual(this.faults, []);
  }

  async live(kind, number) {
    const [transport] = Object.values(TRANSPORTS).slice(Math.floor(number / KINDS.length) % 3);
    const client = openClient(`${this.url}/proto`, { ...transport, auth: { token: shows(kind === 'refused' ? -60 : LIVES[kind].seconds) } });
    // It hears a lot, and keeps nothing of it.
    client.offAny();
    try {
      if (kind === 'refused') return assert.equal((await refused(client)).message, REFUSED);
      await client.opened();
      await served(client, number);
      if (LIVES[kind].seconds === LONG_S) await pause((number * 37) % 3_000);
      await LIVES[kind].live(client);
    } finally {
      client.close();
    }
  }
}

/** How steeply values rise over times, by the least squares. */
export function slope(samples) {
  const mean = (of) => samples.reduce((sum, one) => sum + one[of], 0) / samples.length;
  const [at, value] = [mean('at'), mean('value')];
  const sum = (of) => samples.reduce((all, one) => all + of(one.at - at, one.value - value), 0);
  return sum((x, y) => x * y) / sum((x) => x * x);
}
