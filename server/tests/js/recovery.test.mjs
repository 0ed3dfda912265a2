//! Stock clients that come back get on where they left off, where a namespace says so; clients that know nothing of it notice
//! nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TRANSPORTS, disconnected, upgraded } from './lib/client.mjs';
import { ENGINE } from './lib/engine-differences.mjs';
import { startPython } from './lib/python.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

export const RECOVERY = '[journal]\nnamespaces = ["/proto"]\nrecovery = ["/proto"]\nhistory = ["/proto"]\n';

const started = (t, config = RECOVERY, args = []) => start(t, { program: 'fixture', config, args });
const shout = async (socket, what) => assert.deepEqual(await socket.call('shout', what), [{ ok: true, data: null }]);
const texts = (socket) => socket.all('shouted').map(([{ text }]) => text);

/** Resolves once the client has heard this; it keeps what it has heard. */
const hears = (socket, text) => until(() => texts(socket).includes(text), () => `${text} is heard; ${JSON.stringify(socket.seen)} was`);

/** A client whose connection breaks, and comes back at once, when it is told to. */
async function returning(server, transport, rooms = []) {
  const socket = server.client('/proto', { ...transport, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
  await socket.opened();
  for (const room of rooms) assert.equal((await socket.call('join', { room }))[0].ok, true);
  /** Breaks the connection, does `meanwhile`, and resolves once the client is back. */
  socket.away = async (meanwhile) => {
    socket.io.reconnection(false);
    socket.ended = null;
    socket.io.engine.transport.close();
    await disconnected(socket);
    await meanwhile();
    socket.io.reconnection(true);
    socket.connect();
    await until(() => socket.connected, 'the client is back');
  };
  return socket;
}

if (ENGINE === 'carillon') {
  for (const [way, transport] of Object.entries(TRANSPORTS)) {
    test(`${way}: a client gets what it has missed, once, in order, before anything new, and nothing that was not for it`, async (t) => {
      const server = await started(t);
      const speaker = await server.connect('/proto', { transports: ['websocket'] });
      const socket = await returning(server, transport, ['red', 'green']);
      if (way === 'upgrade') await upgraded(socket);
      await shout(speaker, { text: 'before' });
      await hears(socket, 'before');
      for (let round = 0; round < 3; round += 1) {
        const { id } = socket;
        socket.seen.length = 0;
        await socket.away(async () => {
          await shout(speaker, { text: 'all' });
          await shout(speaker, { text: 'red', rooms: ['red', 'green'] });
          await shout(speaker, { text: 'blue', rooms: ['blue'] });
          await shout(speaker, { text: 'not green', except: ['green'] });
          await shout(speaker, { text: 'here', local: true });
          for (let n = 0; n < 100; n += 1) await shout(speaker, { text: `${n}` });
        });
        assert.deepEqual([socket.recovered, socket.id], [true, id]);
        await shout(speaker, { text: 'new', rooms: ['green'] });
        await hears(socket, 'new');
        assert.deepEqual(texts(socket), ['all', 'red', ...Array.from({ length: 100 }, (_, n) => `${n}`), 'new']);
        for (const [, offset] of socket.all('shouted')) assert.match(offset, /^[a-z2-7]+-\d+$/);
      }
      const metrics = await server.metrics();
      assert.equal(metrics.sum('carillon_recoveries_total', { namespace: '/proto', result: 'recovered' }), 3);
    });
  }

  test('a client that has got nothing yet gets on too; one that has left by itself is new', async (t) => {
    const server = await started(t);
    const speaker = await server.connect('/proto', { transports: ['websocket'] });
    const socket = await returning(server, TRANSPORTS.websocket);
    await socket.away(() => shout(speaker, { text: 'missed' }));
    assert.equal(socket.recovered, true);
    await hears(socket, 'missed');
    const { id } = socket;
    socket.disconnect();
    await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients'), 1));
    socket.connect();
    await socket.opened();
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
  });

  test('what cannot be told in full is not told: the client is told that it is new', async (t) => {
    const server = await started(t, `${RECOVERY}max_events = 10\n`);
    const speaker = await server.connect('/proto', { transports: ['websocket'] });
    const socket = await returning(server, TRANSPORTS.websocket);
    await shout(speaker, { text: 'before' });
    await hears(socket, 'before');
    const { id } = socket;
    socket.seen.length = 0;
    await socket.away(async () => {
      for (let n = 0; n < 11; n += 1) await shout(speaker, { text: 'missed' });
    });
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    await shout(speaker, { text: 'new' });
    await hears(socket, 'new');
    assert.deepEqual(texts(socket), ['new']);
    await socket.away(() => shout(speaker, { text: 'from here on' }));
    assert.equal(socket.recovered, true);
  });

  test('text at the end of what a plugin emits is not taken for an offset', async (t) => {
    const server = await started(t);
    const speaker = await server.connect('/proto', { transports: ['websocket'] });
    const socket = await returning(server, TRANSPORTS.websocket);
    await shout(speaker, { text: 'before' });
    await hears(socket, 'before');
    socket.emit('message', 'text');
    assert.deepEqual(await socket.next('message-back'), ['text', null]);
    await socket.away(() => shout(speaker, { text: 'missed' }));
    assert.equal(socket.recovered, true);
    await hears(socket, 'missed');
  });

  test('a second connection with the pid of a client ends the first', async (t) => {
    const server = await started(t);
    const first = await server.connect('/proto', { transports: ['websocket'] });
    const { id } = first;
    const second = await server.connect('/proto', { transports: ['websocket'], auth: { pid: first._pid } });
    await disconnected(first);
    assert.equal(second.id, id);
    await server.metricsSettle((metrics) => {
      assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/proto', reason: 'resumed' }), 1);
      assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 1);
    });
  });

  for (const transports of ['websocket', 'polling']) {
    test(`${transports}: a client in Python beside one in JavaScript gets exactly its arguments`, async (t) => {
      const server = await started(t);
      const socket = await server.connect('/proto', { transports: ['websocket'] });
      const client = startPython(t, 'client.py', 'recovery', server.url, transports);
      await client.prints('there');
      for (const text of ['first', 'last']) await shout(socket, { text });
      await client.ends();
      for (const [, offset] of socket.all('shouted')) assert.equal(typeof offset, 'string');
    });
  }
} else {
  test('with the second engine nobody gets on, and the log says so', async (t) => {
    const server = await started(t);
    const speaker = await server.connect('/proto', { transports: ['websocket'] });
    const socket = await returning(server, TRANSPORTS.websocket);
    await socket.away(() => shout(speaker, { text: 'missed' }));
    assert.ok(!socket.recovered);
    await shout(speaker, { text: 'new' });
    await hears(socket, 'new');
    assert.deepEqual(socket.all('shouted'), [[{ text: 'new' }]]);
    await server.logged(/no client gets on where it left off/);
  });
}

test('history is told to clients, and over HTTP, and goes on where a part ends, wherever it is kept', async (t) => {
  for (const args of [[], ['--bus', (await startRedis(t)).url]]) {
    const server = await started(t, RECOVERY, args);
    const socket = await server.connect('/proto', { transports: ['websocket'] });
    await socket.call('join', { room: 'red' });
    await shout(socket, { text: 'all' });
    await shout(socket, { text: 'red', rooms: ['red'] });
    for (const text of ['blue', 'bluer', 'bluest']) await shout(socket, { text, rooms: ['blue'] });
    await shout(socket, { text: 'end' });
    await hears(socket, 'end');
    // The newest are looked for behind those of others.
    for (const [limit, told] of [[10, ['all', 'red', 'end']], [3, ['all', 'red', 'end']], [2, ['red', 'end']]]) {
      const [{ data }] = await socket.call('history', { limit });
      assert.deepEqual(data.events.map(({ event, args }) => [event, args[0].text]), told.map((text) => ['shouted', text]));
      assert.deepEqual([data.complete, data.more], [true, false]);
    }
    const page = await (await server.fetch('/api/history/proto')).json();
    assert.deepEqual(page.events.map(({ args }) => args[0].text), ['all', 'end']);
    await shout(socket, { text: 'later' });
    await hears(socket, 'later');
    const rest = await (await server.fetch(`/api/history/proto?since=${page.offset}`)).json();
    assert.deepEqual(rest.events.map(({ args }) => args[0].text), ['later']);
    const [wrong] = await socket.call('history', { since: 'nonsense' });
    assert.equal(wrong.error.code, 'bad_payload');
    assert.equal((await server.fetch('/api/history/proto?since=nonsense')).status, 400);
  }
});
