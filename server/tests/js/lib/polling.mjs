//! An Engine.IO session over HTTP polling made by hand: each request on a connection of its own, which can be cut.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { DEADLINE_MS, within } from './wait.mjs';

const ENDPOINT = '/socket.io/';
export const SEPARATOR = '\x1e';

/**
 * One HTTP request: a promise of `{ status, headers, body }`, or `{ cut: code }` when the connection ends without an
 * answer; its `cancel()` hangs up, and `sent` resolves once all of it is on its way. An `unfinished` one never ends its body;
 * a header that is `null` is left out.
 */
export function ask(port, { method = 'GET', query = {}, path = ENDPOINT, body, headers = {}, unfinished = false, ms } = {}) {
  const search = typeof query === 'string' ? query : new URLSearchParams(query).toString();
  const type = body === undefined ? {} : { 'content-type': 'text/plain;charset=UTF-8', 'content-length': Buffer.byteLength(body) };
  const sent = request({ port, host: '127.0.0.1', method, path: `${path}?${search}`, agent: false, headers: Object.fromEntries(Object.entries({ ...type, ...headers }).filter(([, value]) => value !== null)) });
  const answer = new Promise((done) => {
    sent.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
      response.on('error', ({ code }) => done({ cut: code }));
    });
    sent.on('upgrade', (response, socket) => {
      socket.destroy();
      done({ status: response.statusCode, headers: response.headers, body: '' });
    });
    sent.on('error', ({ code }) => done({ cut: code }));
  });
  return Object.assign(within(answer, () => `${method} ${path}?${search} is answered`, ms && ms + 1_000), {
    cancel: () => sent.destroy(),
    sent: new Promise((done) => { (unfinished ? sent.write(body, done) : sent.end(body, done)); }),
  });
}

/** The packets of a body, pings left out. */
export const packets = (body) => body.split(SEPARATOR).filter((packet) => packet !== '2' && packet !== '');

/** A session: what its polls have brought so far, and requests in its name. */
export class Session {
  constructor(port, open) {
    Object.assign(this, { port, open, sid: open.sid, got: [], asked: [], patience: DEADLINE_MS });
  }

  request(options = {}) {
    const { query = {}, ...others } = options;
    const asked = ask(this.port, { query: { EIO: 4, transport: 'polling', sid: this.sid, ...query }, ...others });
    this.asked.push(asked);
    return asked;
  }

  get(ms) {
    return this.request({ ms });
  }

  /** These packets in one body. */
  post(...all) {
    return this.request({ method: 'POST', body: all.join(SEPARATOR) });
  }

  /** Posts and proves that it was taken. */
  async send(...all) {
    const { status, body } = await this.post(...all);
    assert.deepEqual({ status, body }, { status: 200, body: 'ok' });
  }

  /** One poll that must bring something within so long; answers a ping, as a client must. */
  async more(ms = this.patience) {
    const poll = this.get();
    const timer = setTimeout(() => poll.cancel(), Math.max(1, ms));
    const { status, body, cut } = await poll;
    clearTimeout(timer);
    assert.equal(cut, undefined, `a poll brings something within ${ms} ms; so far ${JSON.stringify(this.got).slice(0, 500)}`);
    assert.equal(status, 200, `a poll brings ${body}`);
    if (body.split(SEPARATOR).includes('2')) await this.send('3');
    this.got.push(...packets(body));
  }

  /** Polls until a packet that starts so has come, and resolves to it. */
  async packet(prefix, ms = this.patience) {
    const deadline = performance.now() + ms;
    for (;;) {
      const found = this.got.find((packet) => packet.startsWith(prefix));
      if (found !== undefined) return found;
      await this.more(deadline - performance.now());
    }
  }

  /** The session is gone: a request in its name is answered so, at the latest after what was on its way. */
  async gone(ms = this.patience) {
    for (let n = 0; n < 50; n += 1) {
      const poll = this.get(ms);
      const timer = setTimeout(() => poll.cancel(), ms);
      const { status, body, cut } = await poll;
      clearTimeout(timer);
      assert.equal(cut, undefined, 'the session is still there, and its poll waits');
      if (status === 400) {
        assert.match(body, /"code":"?1/);
        return;
      }
      if (status === 200 && packets(body).every((packet) => packet === '1' || packet === '6')) await new Promise((done) => { setTimeout(done, 10); });
    }
    assert.fail('the session is still there');
  }

  destroy() {
    for (const asked of this.asked) asked.cancel();
  }
}

/** A session that has joined a namespace, or none. */
export async function openSession(port, { namespace = '/proto' } = {}) {
  const { status, body } = await ask(port, { query: { EIO: 4, transport: 'polling' } });
  assert.equal(status, 200, body);
  assert.equal(body[0], '0', 'the first packet is open');
  const session = new Session(port, JSON.parse(body.slice(1).split(SEPARATOR)[0]));
  if (namespace !== null) {
    const prefix = namespace === '/' ? '40' : `40${namespace},`;
    await session.send(prefix);
    await session.packet(`${prefix}{`);
  }
  return session;
}
