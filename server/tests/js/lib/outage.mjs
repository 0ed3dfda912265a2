//! What a server's own clients, its operator and its log have to notice, or not to notice, while its Redis is away.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { p99 } from './percentile.mjs';
import { command } from './resp.mjs';
import { until } from './wait.mjs';

/** A dead, hanging or refusing Redis is known after this time. */
const TOLD_MS = 15_000;
/** Messages flow again so long after a Redis became usable. */
const BACK_MS = 2_000;
/** How long a client of this server may wait for an answer, on a machine that is busy with something else. */
const ANSWER_MS = 2_000;

/** Clients of a server at work, all the time: one calls, one has everybody told something, one hears it. */
export class OwnClients {
  static async atWork(t, server) {
    const [caller, speaker, hearer] = await Promise.all(['/echo', '/proto', '/proto'].map((namespace) => server.connect(namespace, { transports: ['websocket'] })));
    const clients = Object.assign(new OwnClients(), { caller, speaker, hearer, calls: 0, shouts: 0, waits: [], said: [], going: true });
    clients.work = Promise.all([clients.call(), clients.shout()]);
    // Whoever stops it looks at what became of it.
    clients.work.catch(() => {});
    t.after(() => { clients.going = false; });
    return clients;
  }

  async call() {
    while (this.going) {
      const begin = performance.now();
      assert.deepEqual(await this.caller.call('say', { text: `${this.calls}` }), [{ ok: true, data: { text: `${this.calls}` } }]);
      this.waits.push({ at: Date.now(), ms: performance.now() - begin });
      this.calls += 1;
      await pause(25);
    }
  }

  async shout() {
    while (this.going) {
      this.said.push(Date.now());
      assert.equal((await this.speaker.call('shout', { text: `${this.shouts}` }))[0].ok, true);
      this.shouts += 1;
      await pause(25);
    }
  }

  /** What waits for answers, and the way of what is said to who hears it, took between two points in time: the 99th percentiles, in ms. */
  p99(from, to) {
    const ways = this.hearer.seen.filter(({ event }) => event === 'shouted').map(({ at }, n) => ({ at: this.said[n], ms: at - this.said[n] }));
    return [this.waits, ways].map((all) => {
      return p99(all.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms));
    });
  }

  /** Ends the work: every call was answered in time, `patience` at most, everything said was heard once and in order. */
  async served(patience = ANSWER_MS) {
    // Some of it after all the rest.
    const [calls, shouts] = [this.calls + 10, this.shouts + 10];
    await Promise.race([until(() => this.calls > calls && this.shouts > shouts, 'clients are served'), this.work]);
    this.going = false;
    await this.work;
    const slowest = Math.max(...this.waits.map(({ ms }) => ms));
    assert.ok(slowest < patience, `one answer took ${slowest} ms`);
    const heard = () => this.hearer.all('shouted').map(([{ text }]) => Number(text));
    await until(() => heard().length >= this.shouts, () => `${this.shouts} shouts are heard; ${heard().length} were`);
    assert.deepEqual(heard(), Array.from({ length: this.shouts }, (_, n) => n));
    return { calls: this.calls, shouts: this.shouts, slowest };
  }
}

/** Another program, publishing `{"n":0}`, `{"n":1}`.. on `cluster:metrics` whenever Redis lets it, a hundred times a second. */
export class Traffic {
  static start(t, port, password) {
    const traffic = Object.assign(new Traffic(), { port, password, next: 0 });
    const timer = setInterval(() => traffic.publish(), 10);
    traffic.stop = () => { clearInterval(timer); traffic.socket?.destroy(); };
    t.after(traffic.stop);
    return traffic;
  }

  publish() {
    if (!this.socket || this.socket.destroyed) {
      this.socket = connect(this.port, '127.0.0.1');
      this.socket.on('error', () => this.socket.destroy());
      this.socket.resume();
      if (this.password) this.socket.write(command('AUTH', this.password));
    } else if (!this.socket.connecting && this.socket.writableLength === 0) {
      this.socket.write(command('PUBLISH', 'cluster:metrics', `{"n":${this.next}}`));
      this.next += 1;
    }
  }
}

/** A client of `/` that hears that traffic. */
export async function listen(server) {
  const socket = await server.connect('/', { transports: ['websocket'] });
  const heard = [];
  const note = ({ n }, at) => { if (typeof n === 'number') heard.push({ n, at }); };
  // What came until now, and what comes from now on: it is a lot, and looked at often.
  for (const [told] of socket.all('redis_cluster_metrics')) note(told, Date.now());
  socket.offAny();
  socket.on('redis_cluster_metrics', (told) => note(told, Date.now()));
  return {
    /** Resolves once something published after now is heard. */
    hears: async (traffic) => {
      const from = traffic.next;
      await until(() => (heard.at(-1)?.n ?? -1) >= from, 'other programs are heard');
    },
    /** Redis was usable at `since`: other programs are heard again soon after, of `traffic` what it publishes from now on. Resolves to how long it took. */
    hearsAgain: async (since, traffic = { next: 0 }) => {
      const from = traffic.next;
      const last = await until(() => (heard.at(-1)?.at >= since && heard.at(-1).n >= from ? heard.length : 0), 'other programs are heard again');
      const first = heard.slice(heard.findLastIndex(({ at, n }) => at < since || n < from) + 1, last)[0];
      assert.ok(first.at - since < BACK_MS, `the relay was back after ${first.at - since} ms`);
      return first.at - since;
    },
    /** Nothing came twice, and nothing overtook anything. */
    inOrder: async () => {
      await until(() => heard.length > 10, () => `more than ${heard.length} messages`);
      for (let at = 1; at < heard.length; at += 1) assert.ok(heard[at].n > heard[at - 1].n, `${heard[at].n} came after ${heard[at - 1].n}`);
      return heard.length;
    },
  };
}

/** What is told of a server whose bus is away, and of one whose bus is there. */
export const AWAY = { up: false, status: 'degraded' };
export const THERE = { up: true, status: 'ready' };

/** What `/readyz` says of the bus. */
export const busDetail = async (server) => (await (await server.fetch('/readyz')).json()).components.bus.detail;

/** Resolves once `/readyz` says `status`, with HTTP `code`, and `carillon_bus_up` agrees; resolves to how long it took. */
export async function told(server, { up, status, code = 200 }) {
  const begin = Date.now();
  let seen;
  await until(async () => {
    const response = await server.fetch('/readyz');
    const body = await response.json();
    const metrics = await server.metrics();
    seen = { code: response.status, status: body.status, bus: body.components.bus?.ready, up: metrics.sum('carillon_bus_up') };
    return seen.code === code && seen.status === status && seen.bus === up && seen.up === Number(up);
  }, () => `/readyz and carillon_bus_up tell; they say ${JSON.stringify(seen)}`, TOLD_MS);
  assert.equal((await server.fetch('/livez')).status, 200);
  return Date.now() - begin;
}

/** No line of the log came more than once within a second, and none shows `secret`. */
export function calmLog(server, secret) {
  const last = new Map();
  for (const line of server.log) {
    if (secret) assert.ok(!line.includes(secret), line);
    const match = /^(\S+Z)\s+(.*)$/.exec(line);
    assert.ok(match, `a line of the log without a time: ${line}`);
    const [at, what] = [Date.parse(match[1]), match[2].replace(/\d+/g, '#')];
    const apart = at - (last.get(what) ?? -Infinity);
    assert.ok(apart >= 990, `twice within ${apart} ms: ${line}`);
    last.set(what, at);
  }
  return server.log.length;
}
