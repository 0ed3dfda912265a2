//! Bad input, third part: CONNECT and DISCONNECT in every unusual way.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { openPolling, textFrame } from './lib/raw.mjs';
import { row, rowsOfThePage } from './lib/rows.mjs';

row('CONNECT to an unknown namespace', '`connect_error` "Invalid namespace"', '—', async (server) => {
  assert.equal((await refused(server.client('/nope'))).message, 'Invalid namespace');
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('40/nope,');
  await raw.frame('44/nope,{"message":"Invalid namespace"');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  await raw.frame('43/tiny,1[{"ok":true');
});

row('CONNECT that the namespace refuses', '`connect_error` with its reason', '`connects_refused_total`', async (server) => {
  assert.equal((await refused(server.client('/second', { auth: { token: 'guessed' } }))).message, 'the token is wrong');
  assert.equal((await server.metrics()).sum('carillon_connects_refused_total', { namespace: '/second' }), 1);
});

row('CONNECT with auth of any JSON type', 'let in', '`connections_total`', async (server) => {
  const auths = ['{}', '{"token":"x","more":[{"a":null}]}', '[]', '[1,2]', '"text"', '7', 'null', 'true', '{"name":"é"}'];
  for (const auth of auths) {
    const raw = await server.raw();
    raw.send(`40/tiny,${auth}`);
    await raw.frame('40/tiny,{"sid":');
    raw.send('42/tiny,1["hello",{"name":"you"}]');
    await raw.frame('43/tiny,1[{"ok":true');
    raw.terminate();
  }
  assert.equal((await server.metrics()).sum('carillon_connections_total', { namespace: '/tiny' }), auths.length);
});

row('no CONNECT within `server.connect_timeout_ms`', 'the connection is closed', '—', async (server) => {
  const raw = await server.raw();
  await raw.ends();
}, { env: { CARILLON_SERVER__CONNECT_TIMEOUT_MS: '300' } });

row('an event in the same TCP segment as CONNECT', 'the connection is closed, as a Node.js server does', '`connects_abandoned_total`, or `disconnections_total{reason="transport_close"}`', async (server) => {
  const times = 20;
  for (let n = 0; n < times; n += 1) {
    const raw = await server.raw();
    raw._socket.write(Buffer.concat([textFrame('40/tiny,'), textFrame('42/tiny,1["hello",{"name":"you"}]')]));
    await raw.ends();
    assert.ok(!raw.frames.some((frame) => frame.startsWith('43')), 'it is not answered');
  }
  // Which of the two it is depends on how far the namespace had come when the connection went.
  await server.metricsSettle((metrics) => {
    const abandoned = metrics.sum('carillon_connects_abandoned_total', { namespace: '/tiny' });
    assert.equal(abandoned + metrics.sum('carillon_disconnections_total', { namespace: '/tiny', reason: 'transport_close' }), times);
    assert.equal(metrics.sum('carillon_connected_clients'), 0);
  });
});

row('an event right after the CONNECT reply', 'answered, on each transport', '`handler_outcomes_total{outcome="ok"}`', async (server) => {
  for (let n = 0; n < 50; n += 1) {
    const raw = await server.raw();
    raw.on('message', (data) => {
      if (data.toString().startsWith('40/tiny,{')) raw.send('42/tiny,1["hello",{"name":"you"}]');
    });
    raw.send('40/tiny,');
    assert.equal(await raw.frame('43/tiny,1'), '43/tiny,1[{"ok":true,"data":"hello, you"}]');
    raw.terminate();
  }
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post('42/tiny,1["hello",{"name":"you"}]')).status, 200);
  assert.match((await session.get()).body, /43\/tiny,1\[{"ok":true/);
});

row('a second CONNECT to the same namespace', 'ignored; the client stays as it is', '—', async (server) => {
  const raw = await server.raw({ namespace: '/proto' });
  raw.send('42/proto,1["count"]');
  await raw.frame('43/proto,1[{"ok":true,"data":{"calls":1}}]');
  raw.send('40/proto,');
  raw.send('42/proto,2["count"]');
  await raw.frame('43/proto,2[{"ok":true,"data":{"calls":2}}]');
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_connections_total', { namespace: '/proto' }), 1);
  assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 1);
});

row('DISCONNECT and CONNECT at once', 'a new client of the namespace', '`disconnections_total{reason="client_disconnect"}`', async (server) => {
  for (let n = 0; n < 20; n += 1) {
    const raw = await server.raw({ namespace: '/proto' });
    raw.send('42/proto,1["count"]');
    await raw.frame('43/proto,1[');
    raw.frames.length = 0;
    raw._socket.write(Buffer.concat([textFrame('41/proto,'), textFrame('40/proto,')]));
    await raw.frame('40/proto,{"sid":');
    raw.send('42/proto,2["count"]');
    assert.equal(await raw.frame('43/proto,2'), '43/proto,2[{"ok":true,"data":{"calls":1}}]', 'the state is new');
    raw.terminate();
  }
  await server.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_connections_total', { namespace: '/proto' }), 40);
    assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/proto', reason: 'client_disconnect' }), 20);
    assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 0);
  });
});

row('`socket.disconnect().connect()` of a stock client', 'served', '`disconnections_total{reason="client_disconnect"}`', async (server) => {
  const socket = await server.connect('/tiny', { transports: ['websocket'] });
  // A second namespace keeps the connection open meanwhile.
  const other = socket.io.socket('/proto');
  await new Promise((done) => { other.on('connect', done); });
  for (let n = 0; n < 20; n += 1) {
    socket.disconnect().connect();
    assert.equal((await socket.call('hello', { name: 'you' }))[0].ok, true);
  }
  other.close();
});

row('DISCONNECT from an unknown namespace', 'ignored', '—', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('41/nope,');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  await raw.frame('43/tiny,1[{"ok":true');
});

test('every row of the table has a test', () => {
  const sources = ['bad-frames', 'bad-events', 'bad-connects'].map((name) => readFileSync(new URL(`./${name}.test.mjs`, import.meta.url), 'utf8')).join();
  const rows = rowsOfThePage();
  assert.ok(rows.length > 40);
  for (const what of rows) assert.ok(sources.includes(`'${what}'`), `no test for the row: ${what}`);
});
