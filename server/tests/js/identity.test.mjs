//! Who a client is, why it is refused and what events may be called, seen by stock clients in JavaScript and in Python.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { refused, TRANSPORTS, upgraded } from './lib/client.mjs';
import { python } from './lib/python.mjs';
import { held, sharedServer } from './lib/table.mjs';
import { until } from './lib/wait.mjs';

const server = sharedServer();
const NAMES = ['santé', '😀', 'say "x"', 'a\\b', 'a\nb', '日本', 'plain', 'with space', '\u007f', 'constructor'];

/** A client in a namespace, which has upgraded where it is to. */
async function joined(transport, namespace) {
  const socket = await (await server()).connect(namespace, TRANSPORTS[transport]);
  if (transport === 'upgrade') await upgraded(socket);
  return socket;
}

for (const transport of Object.keys(TRANSPORTS)) {
  held(`identity: JavaScript, ${transport}: the id of a client is the one that the server tells, and not its session's`, async () => {
    const socket = await joined(transport, '/');
    const [{ sid }] = await socket.next('connection_confirmed');
    assert.equal(socket.id, sid);
    assert.notEqual(socket.id, socket.io.engine.id);
    const other = await joined(transport, '/proto');
    assert.deepEqual(await other.call('who'), [{ ok: true, data: other.id }], 'in a namespace that says nothing by itself');
  });

  held(`identity: JavaScript, ${transport}: a refusal has data`, async () => {
    const error = await refused((await server()).client('/second', { ...TRANSPORTS[transport], auth: { token: 'guessed' } }));
    assert.equal(error.message, 'the token is wrong');
    assert.deepEqual(error.data, { code: 'forbidden', retryable: false });
  });

  held(`identity: JavaScript, ${transport}: an event may have any name`, async () => {
    const socket = await joined(transport, '/proto');
    const answers = [];
    for (const name of NAMES) socket.emit(name, 1, (answer) => answers.push(answer));
    await until(() => answers.length === NAMES.length || socket.ended, `${NAMES.length} answers`);
    assert.deepEqual(answers, NAMES.map((event) => ({ ok: true, data: { event, arguments: 1 } })));
  });
}

const SCENES = {
  identity: 'the id of a client is the one that the server tells, and not its session\'s',
  refusal: 'a refusal has data',
  event_names: 'an event may have any name',
  burst: 'a burst of 1,000 events is answered, in order',
};
for (const [name, transports] of [['polling', ['polling']], ['websocket', ['websocket']], ['upgrade', []]]) {
  // One program for all of them: an interpreter takes its time.
  let lines;
  for (const [scene, what] of Object.entries(SCENES)) {
    held(`identity: Python, ${name}: ${what}`, async (t) => {
      lines ??= python(t, 'client.py', 'each', (await server()).url, ...transports).then((out) => out.trim().split('\n'));
      assert.equal((await lines).find((line) => line.startsWith(scene)), `${scene} holds`);
    });
  }
}

after(async () => (await server()).closeClients());
