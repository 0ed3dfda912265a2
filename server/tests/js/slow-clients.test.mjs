//! Clients that read slowly, or not at all: what waits for them is bounded, replaced or dropped as the settings say.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MESSAGES, readLate } from './lib/late.mjs';
import { openTrickle } from './lib/raw.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

/** 4 MB a second to each client of `/order`, and no limit on what may wait but those a test sets. */
const FLOOD_BYTES = 16_000;
const flooding = (t, env) => start(t, {
  program: 'fixture',
  env: {
    CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '4', CARILLON_PLUGINS__ORDER__FLOOD_BYTES: String(FLOOD_BYTES),
    CARILLON_WIRE__MAX_QUEUED_BYTES: String(2 ** 30), CARILLON_WIRE__WRITE_STALL_MS: '600000', CARILLON_WIRE__MIN_DRAIN_BYTES_PER_S: '0',
    ...env,
  },
});

/** How many bytes the kernels take for a client that never reads. */
async function takenUnread(t, sendBufferBytes) {
  const env = sendBufferBytes === undefined ? {} : { CARILLON_WIRE__SEND_BUFFER_BYTES: String(sendBufferBytes) };
  const server = await flooding(t, env);
  const raw = await server.raw({ namespace: '/order' });
  raw.pause();
  let delivered;
  await server.metricsSettle((metrics) => {
    delivered = metrics.sum('carillon_deliveries_total', { outcome: 'delivered' });
    // So much waits that the kernels take no more.
    assert.ok(metrics.sum('carillon_deliveries_expected_total') - metrics.sum('carillon_deliveries_total') > 200);
  }, 20_000);
  await server.stop();
  return delivered * FLOOD_BYTES;
}

test('wire.send_buffer_bytes bounds what the kernel takes for a client that does not read', async (t) => {
  const [little, usual, kernels] = [await takenUnread(t, 16_384), await takenUnread(t), await takenUnread(t, 0)];
  t.diagnostic(`taken unread: ${little} bytes with 16 KiB, ${usual} as it comes, ${kernels} with the kernel's choice`);
  // Linux doubles the value for its own needs, and the client's side holds some hundred kilobytes.
  assert.ok(usual < 2 ** 20, `${usual} bytes`);
  assert.ok(little < usual, `${little} bytes with 16 KiB, ${usual} with 256`);
  assert.ok(usual < kernels, `${usual} bytes with 256 KiB, ${kernels} with the kernel's choice`);
});

test('who takes less than wire.min_drain_bytes_per_s is closed as slow; 0 lets him; others notice nothing', async (t) => {
  const env = { CARILLON_WIRE__MIN_DRAIN_BYTES_PER_S: '1048576', CARILLON_WIRE__MIN_DRAIN_WINDOW_MS: '3000' };
  const [strict, patient] = await Promise.all([flooding(t, env), flooding(t, {})]);
  const quick = await strict.connect('/order', { transports: ['websocket'] });
  // So much that something leaves all the time, which is no stall, and far too little.
  const [ended, borne] = await Promise.all([strict, patient].map((server) => openTrickle(t, server.port, '/order', 200_000)));
  await until(() => ended.closed, 'the slow one is closed', 20_000);
  await strict.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/order', reason: 'slow' }), 1);
    assert.equal(metrics.sum('carillon_disconnections_total'), 1);
    assert.ok(metrics.sum('carillon_deliveries_total', { outcome: 'slow' }) > 0, 'what waited is counted');
  });
  t.diagnostic(`closed after ${Math.round(ended.after)} ms`);
  assert.ok(ended.after >= 3_000, 'not within the first window');
  assert.equal(borne.closed, false);
  const { length } = quick.all('drop');
  await until(() => quick.all('drop').length > length + 100, 'the quick one is sent more');
  assert.equal(quick.ended, null);
});

test('a row of the relay in mode "all", which is the default: who reads late gets everything', async (t) => {
  for (const mode of ['', 'mode = "all"']) {
    const { numbers } = await readLate(t, mode);
    assert.deepEqual(numbers, Array.from({ length: MESSAGES }, (_, n) => n));
  }
});

test('a row of the relay in mode "latest": who reads late gets the newest and not all of the others', async (t) => {
  const { numbers, delivered, replaced, volatile } = await readLate(t, 'mode = "latest"');
  assert.equal(numbers.at(-1), MESSAGES - 1);
  assert.ok(replaced > MESSAGES / 2, `${replaced} were replaced`);
  assert.deepEqual({ sum: delivered + replaced, volatile }, { sum: MESSAGES, volatile: 0 });
});

test('a row of the relay in mode "volatile": what comes while something waits is dropped', async (t) => {
  const { numbers, delivered, replaced, volatile } = await readLate(t, 'mode = "volatile"');
  assert.equal(numbers[0], 0);
  assert.ok(volatile > MESSAGES / 2, `${volatile} were dropped`);
  assert.deepEqual({ sum: delivered + volatile, replaced }, { sum: MESSAGES, replaced: 0 });
});

test('a mode that does not exist stops the boot, and the names of those that do are told', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, '[[plugins.relay.rows]]\nchannel = "wall"\nevent = "wall"\nnamespaces = ["/"]\nmode = "newest"\n');
  const { code, out, err } = await runToEnd('fixture', ['check', '--config', file]);
  assert.equal(code, 78);
  for (const word of ['mode', 'all', 'latest', 'volatile']) assert.match(out + err, new RegExp(`\\b${word}\\b`));
});
