//! Tables of cases: each row is a test of its own, all rows of a file talk to one server, and side by side.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { differenceOf } from './engine-differences.mjs';
import { openSession } from './polling.mjs';
import { start } from './server.mjs';
import { openPeer, Peer } from './websocket.mjs';

/** How many rows are under way at once. */
const ROWS_AT_ONCE = 8;
/** How long a row waits for what must come, and one of which is known that it waits in vain. */
const PATIENCE_MS = 5_000;
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
 * A family of rows `[name, section, run(case)]`; the section tells which sentence of a protocol the row holds. A row that
 * the engine under test cannot hold, as engine-differences.mjs has it, must fail: otherwise that file is out of date.
 */
export function table(family, server, rows) {
  const names = new Set();
  describe(family, { concurrency: ROWS_AT_ONCE }, () => {
    for (const [name, section, run] of rows) {
      const title = `${family}: ${name} (${section})`;
      assert.ok(!names.has(title), `two rows are named ${title}`);
      names.add(title);
      const difference = differenceOf(title);
      if (difference?.untried) {
        test(title, { skip: difference.reason }, () => {});
        continue;
      }
      test(title, async () => {
        const one = new Case(await server(), difference ? IN_VAIN_MS : PATIENCE_MS);
        const result = await run(one).then(() => undefined, (error) => error).finally(() => { for (const end of one.ends) end(); });
        if (difference) assert.ok(result, `this engine holds the row now: engine-differences.mjs says "${difference.reason}"`);
        else if (result) throw result;
      });
    }
  });
}
