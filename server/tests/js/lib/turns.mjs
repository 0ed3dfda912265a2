//! A program: `turns.mjs URL CLIENTS FIRST STEP TURNS PER_SECOND` is every STEP-th of so many stock clients of `/order`, from
//! FIRST on, over all transports. Forked; it tells `{ ready }` when all are connected, waits for a word, takes the turns
//! of its clients at a steady pace, tells `{ done, seconds, received }`, waits for another word, and ends with
//! `{ ended }`: one more turn of each proves that nothing came twice. Each comes with the `faults` found by then.

import { Agent } from 'node:http';
import { openClient, TRANSPORTS, upgraded } from './client.mjs';
import { until } from './wait.mjs';

const [url, ...words] = process.argv.slice(2);
const [clients, first, step, turns, perSecond] = words.map(Number);

// As `order.rs` of the fixture has them: what a client gets in each of its turns, and how many turns one cast comes in.
const EACH_TURN = 10;
const CAST_EVERY = 4;
// Longer than any machine takes that can do this at all.
const PATIENCE_MS = (turns / perSecond) * 2_000 + 30_000;

const casts = (taken) => Math.ceil(taken / CAST_EVERY);

/** Holds back connections until told to: a client with it begins with polling and upgrades then. */
class Gate extends Agent {
  waiting = [];

  addRequest(...request) {
    if (this.waiting) this.waiting.push(request);
    else super.addRequest(...request);
  }

  open() {
    const requests = this.waiting ?? [];
    this.waiting = null;
    for (const request of requests) super.addRequest(...request);
  }
}

/** One client, which knows what is due to it. */
class Client {
  constructor(number) {
    this.number = number;
    this.transport = Object.keys(TRANSPORTS)[number % 3];
    this.gate = new Gate();
    // In the midst of the stream, each at a time of its own.
    this.upgradeAt = this.transport === 'upgrade' ? Math.floor(turns * (0.2 + (0.6 * number) / clients)) : Infinity;
    this.received = 0;
    this.taken = 0;
    this.answered = 0;
    this.own = 0;
    this.casts = new Array(clients).fill(0);
    this.faults = [];
    this.socket = openClient(`${url}/order`, { ...TRANSPORTS[this.transport], transportOptions: { websocket: { agent: this.transport === 'upgrade' ? this.gate : false } } });
    // Everything is looked at once and not kept.
    this.socket.offAny();
    this.socket.on('step', (n, data) => this.mine('step', n, data));
    this.socket.on('ask', (n, answer) => {
      this.mine('ask', n);
      answer(n);
    });
    this.socket.on('cast', (n, from, cast, data) => this.cast(n, from, cast, data));
    this.socket.on('error', (error) => this.fault(`error ${JSON.stringify(error)}`));
    this.socket.on('disconnect', (reason) => { if (!this.over) this.fault(`disconnected: ${reason}`); });
  }

  fault(text) {
    this.faults.push(`client ${this.number} (${this.transport}, now ${this.socket.io.engine.transport.name}), after ${this.received}: ${text}`);
  }

  take() {
    const turn = this.taken;
    this.taken += 1;
    this.socket.emit('turn', { from: this.number, turn }, (n, data) => {
      this.answered += 1;
      if ((data !== undefined) !== (turn % 2 === 1)) this.fault(`the ack of turn ${turn} has ${data ? 'an' : 'no'} attachment`);
      this.mine(`the ack of turn ${turn}`, n, data);
    });
    if (turn === this.upgradeAt) {
      if (this.socket.io.engine.transport.name !== 'polling') this.fault('upgraded too early');
      this.gate.open();
    }
  }

  mine(what, n, data) {
    this.received += 1;
    if (n !== this.own) this.fault(`${what} brings ${JSON.stringify(n)} where ${this.own} is due`);
    this.own = n + 1;
    this.attached(what, n, data);
  }

  cast(n, from, cast, data) {
    if (cast !== this.casts[from]) this.fault(`cast ${cast} of client ${from} where ${this.casts[from]} is due`);
    this.casts[from] = cast + 1;
    if (from === this.number) return this.mine('the own cast', n, data);
    this.received += 1;
    return this.attached('a cast', n, data);
  }

  attached(what, n, data) {
    if (data === undefined) return;
    if (!Buffer.isBuffer(data) || data.length !== 1 + (n % 1000) || data.some((byte) => byte !== n % 256)) {
      this.fault(`${what} ${n} has an attachment of something else: ${JSON.stringify(data)?.slice(0, 100)}`);
    }
  }

  /** Whether all is there that `mine` turns of its own and `all` of each client bring. */
  has(mine, all) {
    return this.answered === mine && this.own === EACH_TURN * mine + casts(mine) && this.casts.every((count) => count === casts(all));
  }

  toString() {
    return `client ${this.number} (${this.transport}, now ${this.socket.io.engine.transport.name}) took ${this.taken} turns: ${this.answered} answers, ${this.own} of its own, `
      + `${Math.min(...this.casts)} to ${Math.max(...this.casts)} casts of each`;
  }
}

const word = () => new Promise((done) => process.once('message', done));
const all = Array.from({ length: Math.ceil((clients - first) / step) }, (_, at) => new Client(first + at * step));
const behind = (missing) => `${missing.length} of ${all.length} have not got everything: ${missing.slice(0, 5).join('; ')}`;
const faults = () => all.flatMap((client) => client.faults);
/** Waits for what `has` tells, or for the first fault, after which it may never come. */
async function complete(has) {
  await until(() => faults().length > 0 || all.every(has), '', PATIENCE_MS).catch(() => {
    const missing = all.filter((client) => !has(client));
    missing[0]?.faults.push(behind(missing));
  });
}

await Promise.all(all.map(({ socket }) => socket.opened()));
const begin = word();
process.send({ ready: true, faults: faults() });
await begin;
const start = performance.now();
await new Promise((done) => {
  // As many turns as are due by now: a process that was busy for a moment does not make the pace slower.
  const timer = setInterval(() => {
    const elapsed = ((performance.now() - start) * perSecond) / 1000;
    for (const client of all) {
      const due = Math.min(turns, Math.floor(elapsed + client.number / clients));
      while (client.taken < due) client.take();
    }
    if (all.every(({ taken }) => taken === turns) || faults().length > 0) {
      clearInterval(timer);
      done();
    }
  }, 5);
});
await complete((client) => client.has(turns, turns));
const seconds = (performance.now() - start) / 1000;
if (faults().length === 0) await Promise.all(all.filter(({ transport }) => transport === 'upgrade').map((client) => upgraded(client.socket).catch((late) => client.fault(late.message))));
const end = word();
process.send({ done: true, seconds, received: all.reduce((sum, { received }) => sum + received, 0), faults: faults().slice(0, 10) });
await end;
for (const client of all) {
  // One without a cast.
  if (client.taken % CAST_EVERY === 0) client.taken += 1;
  client.take();
}
await complete((client) => client.answered === turns + 1);
for (const client of all) {
  client.over = true;
  client.socket.close();
}
process.send({ ended: true, faults: faults().slice(0, 10) }, () => process.disconnect());
