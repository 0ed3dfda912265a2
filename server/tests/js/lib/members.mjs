//! A program: `members.mjs CLIENTS FIRST STEP URL...` is every STEP-th of so many stock clients of `/proto`, from FIRST on. Each is in a
//! room, looks at what it hears and keeps nothing of it, and when its node is gone it goes to the next one. Forked; it tells
//! `{ id: 0 }` when all are there, and then answers `{ id, ask, args }` with `{ id, answer }`.

import { openClient } from './client.mjs';
import { hears, ROOMS, steps } from './shares.mjs';
import { within } from './wait.mjs';

const [clients, first, step] = process.argv.slice(2, 5).map(Number);
const urls = process.argv.slice(5);
const STEPS = new Map([null, ...Array.from({ length: ROOMS }, (_, n) => `r${n}`)].map((room) => [room, steps(room)]));

/** The offset of each number, as the first client here had it. */
const offsets = [];
const faults = [];

/** One client, which knows what it is to hear next. */
class Member {
  constructor(number) {
    this.number = number;
    this.at = number % urls.length;
    this.heard = 0;
    this.unnumbered = 0;
    this.last = -1;
    this.returns = 0;
    this.renewed = 0;
    this.enters(`r${number % ROOMS}`);
  }

  /** From now on it is in this room. */
  enters(room) {
    this.room = room;
    this.steps = STEPS.get(room);
    this.due = hears(this.last + 1, room) ? this.last + 1 : this.follows(this.last + 1);
  }

  follows(n) {
    return n + this.steps[n % this.steps.length];
  }

  async open() {
    this.socket = openClient(`${urls[this.at]}/proto`, { transports: ['websocket'], reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 300 });
    // Everything is looked at once and not kept.
    this.socket.offAny();
    this.socket.on('shouted', ({ text }, offset) => this.hear(Number(text), offset));
    await this.socket.opened();
    const [{ ok }] = await this.socket.call('join', { room: this.room });
    if (!ok) throw new Error(`${this} could not join`);
    this.socket.on('connect', () => this.back());
    this.socket.io.on('reconnect_attempt', () => {
      this.at = (this.at + 1) % urls.length;
      this.socket.io.uri = urls[this.at];
    });
  }

  back() {
    this.returns += 1;
    if (this.socket.recovered) return;
    // It may have missed something, and is in no room any more.
    this.renewed += 1;
    this.anew = true;
    this.enters(null);
  }

  hear(n, offset) {
    this.heard += 1;
    if (n !== this.due) this.surprised(n);
    this.anew = false;
    this.last = n;
    this.due = this.follows(n);
    if (offset === undefined) this.unnumbered += 1;
    else if (offset !== (offsets[n] ??= offset)) this.fault(`${n} has offset ${offset}, others had ${offsets[n]}`);
  }

  surprised(n) {
    if (n <= this.last) this.fault(`${n} came after ${this.last}`);
    else if (!hears(n, this.room)) this.fault(`${n} was for others`);
    else if (!this.anew) this.fault(`${n} came after ${this.last}, where ${this.due} was due`);
  }

  fault(text) {
    faults.push(`${this}: ${text}`);
  }

  toString() {
    return `client ${this.number} of room ${this.room}, which came back ${this.returns} times, ${this.renewed} of them as a new one`;
  }
}

const all = Array.from({ length: Math.ceil((clients - first) / step) }, (_, at) => new Member(first + at * step));
const sum = (of) => all.reduce((total, one) => total + of(one), 0);
const count = (is) => all.filter(is).length;

const answers = {
  /** How many are at the node that is about to go; each of them is to come back. */
  leaving: (url) => {
    for (const one of all) one.before = urls[one.at] === url ? one.returns : undefined;
    return count(({ before }) => before !== undefined);
  },
  /** How many of those are not back yet. */
  away: () => count(({ before, returns, socket }) => before !== undefined && !(socket.connected && returns > before)),
  /** How many were never told to come back, or are still on their way. */
  untold: () => count(({ returns, socket }) => !socket.connected || returns === 0),
  /** How many have not heard this number, the last one. */
  waiting: (n) => count(({ last }) => last < n),
  sums: () => ({
    heard: sum(({ heard }) => heard), unnumbered: sum(({ unnumbered }) => unnumbered), returns: sum(({ returns }) => returns), renewed: sum(({ renewed }) => renewed),
    faulty: faults.length, faults: faults.slice(0, 10),
  }),
  offsets: () => offsets,
};

process.on('message', ({ id, ask, args }) => process.send({ id, answer: answers[ask](...args) }));
process.on('disconnect', () => process.exit());
for (const one of all) await within(one.open(), `${one} is there`);
process.send({ id: 0 });
