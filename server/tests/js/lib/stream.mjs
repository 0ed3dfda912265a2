//! A steady stream of publishes from one node to a client of another, while something happens to their Redis.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { told } from './outage.mjs';
import { start } from './server.mjs';
import { until } from './wait.mjs';

/** Publishes a second. */
const RATE = 500;
/** Publishes flow again so long after another server has taken over. */
const BACK_MS = 2_000;

/** Two Carillons on `url`, publishes that go from the first to a client of the second, and one that hears them at the first. */
export class Stream {
  static async start(t, url) {
    const stream = new Stream();
    // Holes are holes in all that nodes publish: nobody else is to.
    const config = '[plugins.router]\nenabled = false\n';
    stream.nodes = await Promise.all([1, 2].map(() => start(t, { program: 'fixture', args: ['--bus', url], config })));
    for (const node of stream.nodes) await told(node, { up: true, status: 'ready' });
    const [a, b] = stream.nodes;
    [stream.speaker, stream.here, stream.there] = await Promise.all([a, a, b].map((node) => node.connect('/proto', { transports: ['websocket'] })));
    stream.before = await stream.gaps();
    shouts(t, stream);
    await stream.flows();
    return stream;
  }

  /** Publishes that the second node knows it has missed. */
  async gaps() {
    return (await this.nodes[1].metrics()).sum('carillon_cluster_gaps_total');
  }

  numbers(socket) {
    return socket.seen.filter(({ event }) => event === 'shouted').map(({ args: [{ text }], at }) => ({ n: Number(text), at }));
  }

  /** Resolves once something published after now has come to the other node. */
  async flows() {
    const from = this.sent;
    await until(() => Number(this.there.seen.at(-1)?.args[0]?.text) >= from, 'publishes reach the other node', 20_000);
  }

  /** Another server took over at `since`: publishes flowed again soon after. Resolves to how long it took. */
  async flowsAgain(since) {
    const first = await until(() => this.numbers(this.there).find(({ at }) => at >= since), 'publishes reach the other node again', 20_000);
    assert.ok(first.at - since < BACK_MS, `publishes came again ${first.at - since} ms after the promotion`);
    await this.flows();
    return first.at - since;
  }

  /** Ends the stream: its own node heard all of it in order, the other one once and in order, and has counted what it missed. */
  async judged() {
    this.stop();
    // What is known to be missing is known by what comes after it.
    await pause(500);
    const end = this.sent;
    this.sent += 1;
    assert.equal((await this.speaker.call('shout', { text: `${end}` }))[0].ok, true);
    for (const socket of [this.here, this.there]) {
      await until(() => this.numbers(socket).at(-1)?.n === end, () => `the last publish, ${end}, is heard; the last heard was ${this.numbers(socket).at(-1)?.n}`);
    }
    assert.deepEqual(this.numbers(this.here).map(({ n }) => n), Array.from({ length: this.sent }, (_, n) => n), 'its own node hears everything');
    const numbers = this.numbers(this.there).map(({ n }) => n);
    for (let at = 1; at < numbers.length; at += 1) assert.ok(numbers[at] > numbers[at - 1], `${numbers[at]} came after ${numbers[at - 1]}`);
    const missed = this.sent - numbers.length;
    assert.equal(await this.gaps() - this.before, missed, 'the other node has counted what it missed');
    return { sent: this.sent, missed };
  }
}

/** Lets the stream's speaker shout its numbers at a steady rate, from 0 on, until it is stopped. */
export function shouts(t, stream) {
  stream.sent = 0;
  const begin = Date.now();
  const timer = setInterval(() => {
    const due = Math.floor((Date.now() - begin) * RATE / 1000);
    for (; stream.sent < due; stream.sent += 1) stream.speaker.emit('shout', { text: `${stream.sent}` });
  }, 2);
  stream.stop = () => clearInterval(timer);
  t.after(stream.stop);
}
