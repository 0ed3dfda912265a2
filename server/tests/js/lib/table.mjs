//! Tables of cases: each row is a test of its own, all rows of a file talk to one server, and side by side.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { differenceOf } from './engine-differences.mjs';
import { openSession } from './polling.mjs';
import { start } from './server.mjs';
import { DEADLINE_MS } from './wait.mjs';
import { openPeer, Peer } from './websocket.mjs';

/** How many rows are under way at once. */
const ROWS_AT_ONCE = 8;
/** How long a row waits for what must come, and one of which is known that it waits in vain. */
const PATIENCE_MS = DEADLINE_MS;
const IN_VAIN_MS = 400;

/** What a row has at hand: the server, and connections that end with the row. */
class Case {
  constructor(server, patience) {
    Object.assign(this, { server, patience, port: server.port, url: server.url, ends: [] });
  }

  /** A TCP connection to the server. */
  peer(options = {}) {
    const peer = new Peer(this.port, { patience: this.patience, ...options });
    this.ends.push(() => peer.destroy());
    return peer;
  }

  /** A WebSocket that has joined `/proto`, unless told otherwise. */
  async open({ namespace = '/proto', ...options } = {}) {
    const peer = await openPeer(this.port, { namespace, ...options });
    this.ends.push(() => peer.destroy());
    peer.patience = this.patience;
    return peer;
  }

  /** A polling session that has joined `/proto`, unless told otherwise. */
  async polling({ namespace = '/proto' } = {}) {
    const session = await openSession(this.port, { namespace });
    this.ends.push(() => session.destroy());
    session.patience = this.patience;
    return session;
  }
}

/** What all tables of a file share: one server, started when the first row needs it. */
export function sharedServer(options = {}) {
  let starting;
  // A hook that is set while a test runs is that test's: this one is the file's.
  const ends = [];
  after(async () => { for (const end of ends) await end(); });
  return () => {
    starting ??= start({ after: (end) => ends.unshift(end) }, { program: 'fixture', ...options });
    return starting;
  };
}

/**
 * A test of what the engine under test has to hold. If it cannot, as engine-differences.mjs has it, the test must fail:
 * otherwise that file is out of date. `run` is told how long it may wait for what must come.
 */
export function held(title, run) {
  const difference = differenceOf(title);
  if (difference?.untried) return test(title, { skip: difference.reason }, () => {});
  return test(title, async (t) => {
    if (!difference) return run(t, PATIENCE_MS);
    const failure = await run(t, IN_VAIN_MS).then(() => undefined, (error) => error);
    assert.ok(failure, `this engine holds it now: engine-differences.mjs says "${difference.reason}"`);
  });
}

/** A family of rows `[name, section, run(case)]`; the section tells which sentence of a protocol the row holds. */
export function table(family, server, rows) {
  const titles = new Set();
  describe(family, { concurrency: ROWS_AT_ONCE }, () => {
    for (const [name, section, run] of rows) {
      const title = `${family}: ${name} (${section})`;
      assert.ok(!titles.has(title), `two rows are named ${title}`);
      titles.add(title);
      held(title, async (_, patience) => {
        const one = new Case(await server(), patience);
        await run(one).finally(() => { for (const end of one.ends) end(); });
      });
    }
  });
}
