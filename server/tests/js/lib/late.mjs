//! Somebody who does not read while much is published, and then reads: what arrives, and what became of the rest.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { startRedis } from './redis.mjs';
import { command } from './resp.mjs';
import { start } from './server.mjs';

export const MESSAGES = 400;

/**
 * A Carillon that relays a channel in this mode, and somebody who connects to it, does not read while 20 MB are published, then reads.
 * `begin` starts the Carillon.
 */
export async function readLate(t, mode, begin = start) {
  const redis = await startRedis(t);
  const server = await begin(t, {
    program: 'fixture',
    args: ['--bus', redis.url],
    config: `[wire]\nmax_queued_bytes = 1_073_741_824\nwrite_stall_ms = 600_000\n[[plugins.relay.rows]]\nchannel = "wall"\nevent = "wall"\nnamespaces = ["/"]\n${mode}\n`,
  });
  await redis.subscribers(1, ['wall']);
  const raw = await server.raw({ namespace: '/' });
  raw.pause();
  const publisher = connect(redis.port, '127.0.0.1');
  t.after(() => publisher.destroy());
  const pad = 'x'.repeat(50_000);
  const publish = (n) => publisher.write(command('PUBLISH', 'wall', JSON.stringify({ n, pad })));
  for (let n = 0; n < MESSAGES; n += 1) publish(n);
  const relayed = (count) => server.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_relay_messages_total', { channel: 'wall', result: 'relayed' }), count);
    // The last one has been offered to the client.
    assert.equal(metrics.sum('carillon_deliveries_expected_total'), count);
  }, 20_000);
  await relayed(MESSAGES);
  raw.resume();
  const numbers = () => raw.frames.map((frame) => /^42\["wall",\{"n":(\d+),/.exec(frame)?.[1]).filter(Boolean).map(Number);
  const read = async (count) => {
    let outcomes;
    await server.metricsSettle((metrics) => {
      const of = (outcome) => metrics.sum('carillon_deliveries_total', { outcome });
      outcomes = { delivered: of('delivered'), replaced: of('replaced'), volatile: of('volatile') };
      assert.equal(metrics.sum('carillon_deliveries_total'), count, 'every copy is accounted for');
      assert.equal(numbers().length, outcomes.delivered, 'everything delivered has arrived');
    }, 20_000);
    return { ...outcomes, numbers: numbers() };
  };
  const result = await read(MESSAGES);
  publish(MESSAGES);
  await relayed(MESSAGES + 1);
  const after = await read(MESSAGES + 1);
  assert.equal(after.numbers.at(-1), MESSAGES, 'who reads again gets everything again');
  assert.deepEqual(after.numbers, [...new Set(after.numbers)].sort((one, other) => one - other), 'in order, none twice');
  t.diagnostic(`of ${MESSAGES}, ${result.delivered} were delivered, ${result.replaced} replaced, ${result.volatile} dropped`);
  assert.equal(raw.closed, null);
  return result;
}
