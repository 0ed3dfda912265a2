//! One row of the table "Bad input" in docs/protocol.md is one test.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { start } from './server.mjs';

const page = readFileSync(new URL('../../../../docs/protocol.md', import.meta.url), 'utf8');

/** The first cells of all rows of the table. */
export function rowsOfThePage() {
  const table = page.slice(page.indexOf('## Bad input'));
  return [...table.matchAll(/^\| (.+?) \| .+ \| .+ \|$/gm)].map(([, what]) => what).filter((what) => what !== 'what comes in');
}

/**
 * Proves that the page says `what`, what it `gets` and how it is `counted`, then runs the row against a server of its
 * own, and then proves that fresh clients are still served.
 */
export function row(what, gets, counted, run, options = {}) {
  test(`${what}: ${gets}`, async (t) => {
    const line = `| ${what} | ${gets} | ${counted} |`;
    assert.ok(page.includes(line), `docs/protocol.md lacks the row\n${line}`);
    const server = await start(t, { program: 'fixture', ...options });
    await run(server);
    for (const transports of [['websocket'], ['polling']]) {
      const socket = await server.connect('/tiny', { transports });
      assert.deepEqual(await socket.call('hello', { name: 'you' }), [{ ok: true, data: 'hello, you' }]);
      socket.close();
    }
  });
}

/** /metrics comes to count these departures from /tiny and no others. */
export function left(server, reason, times = 1) {
  return server.metricsSettle((metrics) => {
    const reasons = metrics.match('carillon_disconnections_total', { namespace: '/tiny' }).filter(({ value }) => value > 0);
    assert.deepEqual(Object.fromEntries(reasons.map(({ labels, value }) => [labels.reason, value])), { [reason]: times });
  });
}

/** /metrics comes to count this outcome of calls in /tiny. */
export function outcome(server, event, name, times = 1) {
  return server.metricsSettle((metrics) => assert.equal(
    metrics.sum('carillon_handler_outcomes_total', { namespace: '/tiny', event, outcome: name }), times));
}

/** /metrics counts these answers of HTTP status `code`. */
export async function statuses(server, code, times, route = '/socket.io/') {
  assert.equal((await server.metrics()).sum('carillon_http_requests_total', { route, code: String(code) }), times);
}
