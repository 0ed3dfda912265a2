//! Many stock clients of several nodes, in processes of their own, and who publishes to them.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { addressed, toEverybody } from './shares.mjs';
import { within } from './wait.mjs';

const MEMBERS = fileURLToPath(new URL('./members.mjs', import.meta.url));

/** Clients by turns at each of these `urls`; see `members.mjs` for what can be asked of them. */
export class Crowd {
  constructor(processes) {
    this.processes = processes;
    this.id = 0;
  }

  /** Resolves when all of them are there, within `ms`. */
  static async gather(t, urls, clients, processes, ms) {
    const parts = Array.from({ length: processes }, (_, first) => fork(MEMBERS, [clients, first, processes, ...urls].map(String)));
    for (const child of parts) t.after(() => child.kill('SIGKILL'));
    const crowd = new Crowd(parts);
    await within(crowd.answers(0), 'the crowd is there', ms);
    return crowd;
  }

  /** What each process answers to this. */
  async ask(ask, ...args) {
    this.id += 1;
    const answers = this.answers(this.id);
    for (const child of this.processes) child.send({ id: this.id, ask, args });
    return within(answers, `the crowd is asked: ${ask}`, 60_000);
  }

  /** Likewise, where the answers are numbers, all of them together. */
  async count(ask, ...args) {
    return (await this.ask(ask, ...args)).reduce((sum, one) => sum + one, 0);
  }

  answers(id) {
    return Promise.all(this.processes.map((child) => new Promise((done, fail) => {
      const over = () => { child.off('message', hear).off('exit', ended); };
      const hear = (message) => {
        if (message.id !== id) return;
        over();
        done(message.answer);
      };
      const ended = (code, signal) => {
        over();
        fail(new Error(`a process of clients ended with ${code ?? signal}`));
      };
      child.on('message', hear).on('exit', ended);
    })));
  }

  /** What became of all: nobody found a fault, and a number has the same offset for everybody, which no other has. */
  async judged() {
    const parts = await this.ask('sums');
    assert.deepEqual(parts.flatMap(({ faults }) => faults), [], `${parts.reduce((sum, { faulty }) => sum + faulty, 0)} faults`);
    const offsets = await this.ask('offsets');
    const taken = new Set();
    for (let n = 0; n < Math.max(...offsets.map(({ length }) => length)); n += 1) {
      const own = new Set(offsets.map((some) => some[n]).filter((offset) => typeof offset === 'string'));
      assert.ok(own.size <= 1, `${n} has offsets ${[...own]}`);
      for (const offset of own) {
        assert.ok(!taken.has(offset), `${n} has offset ${offset}, and so has another`);
        taken.add(offset);
      }
    }
    const [heard, unnumbered, returns, renewed] = ['heard', 'unnumbered', 'returns', 'renewed'].map((name) => parts.reduce((sum, one) => sum + one[name], 0));
    return { heard, unnumbered, returns, renewed };
  }
}

/** Publishes numbers at a steady rate until it is stopped, to clients by turns as `shares.mjs` has it. */
export class Publisher {
  constructor(t, socket, perSecond) {
    this.socket = socket;
    this.sent = 0;
    this.begin = performance.now();
    // As many as are due by now: a process that was busy for a moment does not make the pace slower.
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - this.begin) * perSecond) / 1000);
      while (this.sent < due) this.socket.emit('shout', this.next());
    }, 50);
    this.stop = () => clearInterval(timer);
    t.after(this.stop);
  }

  next() {
    const n = this.sent;
    this.sent += 1;
    return { text: `${n}`, ...addressed(n) };
  }

  /** Ends it with a number for everybody, which it resolves to. */
  async end() {
    this.stop();
    this.seconds = (performance.now() - this.begin) / 1000;
    const last = toEverybody(this.sent);
    while (this.sent < last) this.socket.emit('shout', this.next());
    assert.deepEqual(await this.socket.call('shout', this.next()), [{ ok: true, data: null }]);
    return last;
  }
}
