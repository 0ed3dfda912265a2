//! /metrics after a scripted run: every counter equals what the clients counted, and every gauge is back where it was.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { TRANSPORTS } from './lib/client.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const EACH = 10;
const ALL = 2 * EACH;

/** Counts, on the client's side, the Socket.IO packets of one engine and their bytes. */
function countPackets(engine) {
  const counts = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };
  engine.on('packetCreate', ({ type, data }) => {
    if (type !== 'message') return;
    // Bytes of events are those of the array, without namespace and ack id.
    const event = /^2[^[]*(\[.*)$/s.exec(data);
    if (!event) return;
    counts.sent += 1;
    counts.sentBytes += Buffer.byteLength(event[1]);
  });
  engine.on('packet', ({ type, data }) => {
    if (type !== 'message') return;
    if (/^[23]/.test(data)) {
      counts.received += 1;
      counts.receivedBytes += Buffer.byteLength(data);
    }
  });
  return counts;
}

/** Names of all gauges the server itself moves; what the process and its runtime use is not the script's doing. */
function gauges(metrics) {
  const names = [...metrics.text.matchAll(/^# TYPE (\S+) gauge$/gm)].map(([, name]) => name).filter((name) => name.startsWith('carillon_') && !name.startsWith('carillon_tokio_'));
  return Object.fromEntries(metrics.series.filter(({ name }) => names.includes(name)).map((one) => [one.name + JSON.stringify(one.labels), one.value]));
}

test('20 clients over both transports: call, publish, fail, disconnect', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const before = gauges(await server.metrics());

  const clients = await Promise.all(['polling', 'websocket'].flatMap((name) => Array.from({ length: EACH }, async () => {
    const socket = await server.connect('/proto', TRANSPORTS[name]);
    return { socket, name, packets: countPackets(socket.io.engine), acks: { ok: 0, not_found: 0, bad_payload: 0 } };
  })));
  const connected = await server.metrics();
  for (const name of ['polling', 'websocket']) {
    assert.equal(connected.sum('carillon_connected_clients', { namespace: '/proto', transport: name }), EACH);
  }

  await Promise.all(clients.map(async ({ socket, acks }, at) => {
    const call = async (event, payload) => {
      const [answer] = await socket.call(event, payload);
      acks[answer.error?.code ?? 'ok'] += 1;
    };
    for (let n = 0; n < 5; n += 1) await call('number', { n });
    for (let n = 0; n < 2; n += 1) await call('fail', { code: 'not_found', message: 'no' });
    await call('move', { to: { x: 'left' } });
    await call(`made-up-${at}`, {});
    await call('shout', { text: `from ${at}, née` });
    socket.emit('fail', { code: 'forbidden', message: 'never' });
    await socket.next('error');
    await until(() => socket.all('shouted').length === ALL, 'every shout arrives');
  }));

  const total = (pick) => clients.reduce((all, client) => all + pick(client), 0);
  const acks = (name) => total((client) => client.acks[name]);
  assert.equal(acks('ok'), ALL * 7);

  // Half leave politely, half hang up.
  for (const [at, { socket }] of clients.entries()) {
    if (at % 2 === 0) socket.disconnect();
    else socket.io.engine.close();
  }
  await server.metricsSettle((metrics) => {
    assert.deepEqual(gauges(metrics), before, 'every gauge is back');
    assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/proto' }), ALL);
  });

  const metrics = await server.metrics();
  const counted = (name, labels) => metrics.sum(`carillon_${name}`, { namespace: '/proto', ...labels });
  for (const name of ['polling', 'websocket']) assert.equal(counted('connections_total', { transport: name }), EACH);
  assert.equal(counted('disconnections_total', { reason: 'client_disconnect' }), EACH);
  assert.equal(counted('disconnections_total', { reason: 'transport_close' }), EACH);

  // What came in.
  const received = { number: 5, fail: 3, move: 1, shout: 1, _other: 1 };
  for (const [event, each] of Object.entries(received)) {
    assert.equal(counted('messages_received_total', { event }), ALL * each, event);
    assert.equal(counted('handler_seconds_count', { event }), ALL * each, event);
  }
  assert.equal(counted('messages_received_total'), total(({ packets }) => packets.sent));
  assert.equal(counted('messages_received_bytes_total'), total(({ packets }) => packets.sentBytes));

  // How it ended.
  const outcomes = { ok: acks('ok'), not_found: acks('not_found'), bad_payload: acks('bad_payload'), forbidden: total(({ socket }) => socket.all('error').length) };
  for (const [outcome, times] of Object.entries(outcomes)) assert.equal(counted('handler_outcomes_total', { outcome }), times, outcome);
  assert.equal(counted('handler_outcomes_total'), total(({ packets }) => packets.sent), 'every event has one outcome');

  // What went out.
  assert.equal(counted('messages_sent_total', { event: '_ack' }), acks('ok') + acks('not_found') + acks('bad_payload'));
  for (const event of ['shouted', 'error']) {
    assert.equal(counted('messages_sent_total', { event }), total(({ socket }) => socket.all(event).length), event);
  }
  assert.equal(counted('messages_sent_total'), total(({ packets }) => packets.received));
  assert.equal(counted('messages_sent_bytes_total'), total(({ packets }) => packets.receivedBytes));

  // The fan-out.
  const shouted = total(({ socket }) => socket.all('shouted').length);
  assert.equal(shouted, ALL * ALL);
  assert.equal(counted('publishes_total', { event: 'shouted' }), ALL);
  assert.equal(metrics.sum('carillon_deliveries_total', { outcome: 'delivered' }), shouted);
  assert.equal(metrics.sum('carillon_deliveries_expected_total'), metrics.sum('carillon_deliveries_total'), 'no copy is unaccounted for');
});

test('promtool finds nothing to say about /metrics', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const socket = await server.connect('/tiny');
  await socket.call('hello', { name: 'you' });
  await socket.call('no-such-event');
  const response = await server.fetch('/metrics');
  assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], { input: await response.text(), encoding: 'utf8' });
  assert.equal(error, undefined);
  assert.deepEqual({ status, words: stdout + stderr }, { status: 0, words: '' });
});

test('binary attachments count into the bytes', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const socket = await server.connect('/proto', { transports: ['websocket'] });
  await socket.call('number', { n: 1 });
  const bytes = async (name) => (await server.metrics()).sum(`carillon_messages_${name}_bytes_total`, { namespace: '/proto' });
  const [received, sent] = [await bytes('received'), await bytes('sent')];
  await socket.call('message-with-ack', Buffer.alloc(50_000));
  assert.ok(await bytes('received') - received >= 50_000);
  assert.ok(await bytes('sent') - sent >= 50_000);
});
