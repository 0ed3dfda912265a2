//! Engine.IO protocol 4, HTTP long-polling: polls that wait, payloads of many packets, base64, and polls too many or cut.

import assert from 'node:assert/strict';
import { answer, binaryCall, call } from './lib/proto.mjs';
import { packets, SEPARATOR } from './lib/polling.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { until } from './lib/wait.mjs';

const LIMIT = 50_000;
const server = sharedServer({ env: { CARILLON_SERVER__MAX_MESSAGE_BYTES: String(LIMIT) } });

const POST = 'HTTP long-polling: POST sends, and is answered "ok"';
const GET = 'HTTP long-polling: GET receives';
const PAYLOAD = 'Packet encoding: packets of one payload are separated by the record separator';
const base64 = (data) => `b${Buffer.from(data).toString('base64')}`;
const placeholders = (count) => Array.from({ length: count }, (_, num) => `{"_placeholder":true,"num":${num}}`).join(',');

/** Posts one body and proves that the session has ended of it, with this status. */
const ends = (body, status = 400) => async (one) => {
  const session = await one.polling();
  assert.equal((await session.request({ method: 'POST', body })).status, status);
  await session.gone();
};

table('engineio posts', server, [
  ['a POST is answered "ok"', POST, async (one) => {
    const session = await one.polling();
    const { status, body } = await session.post(call('1'));
    assert.deepEqual({ status, body }, { status: 200, body: 'ok' });
  }],
  ['one packet', POST, async (one) => {
    const session = await one.polling();
    await session.send(call('"é€😀"'));
    assert.equal(await session.packet('43'), answer('"é€😀"'));
  }],
  ['two packets in one body', PAYLOAD, async (one) => {
    const session = await one.polling();
    await session.send(call('1', 1), call('2', 2));
    assert.equal(await session.packet('43/proto,2'), answer('2', 2));
    assert.ok(session.got.includes(answer('1', 1)));
  }],
  ['three hundred packets in one body are answered in order', PAYLOAD, async (one) => {
    const session = await one.polling();
    await session.send(...Array.from({ length: 300 }, (_, id) => call(id, id)));
    await session.packet('43/proto,299[');
    assert.deepEqual(session.got.filter((packet) => packet.startsWith('43')), Array.from({ length: 300 }, (_, id) => answer(id, id)));
  }],
  ['two POSTs one after the other keep their order', POST, async (one) => {
    const session = await one.polling();
    for (let id = 0; id < 20; id += 1) await session.send(call(id, id));
    await session.packet('43/proto,19[');
    assert.deepEqual(session.got.filter((packet) => packet.startsWith('43')), Array.from({ length: 20 }, (_, id) => answer(id, id)));
  }],
  ['no content type', POST, async (one) => {
    const session = await one.polling();
    assert.equal((await session.request({ method: 'POST', body: call('1'), headers: { 'content-type': null } })).status, 200);
    await session.packet('43/proto,1[1]');
  }],
  ['a body in chunks of HTTP', POST, async (one) => {
    const session = await one.polling();
    const { status } = await session.request({ method: 'POST', body: call('1'), headers: { 'content-length': null, 'transfer-encoding': 'chunked' } });
    assert.equal(status, 200);
    await session.packet('43/proto,1[1]');
  }],
  ['a body of exactly maxPayload', 'Handshake: maxPayload', async (one) => {
    const session = await one.polling();
    const padding = LIMIT - call('""').length;
    await session.send(call(`"${'x'.repeat(padding)}"`));
    await session.packet('43/proto,1["xxx');
  }],
  ['a body over maxPayload: 413', 'Handshake: maxPayload', ends('4'.padEnd(LIMIT + 1, 'x'), 413)],
  ['many packets over maxPayload together: 413', 'Handshake: maxPayload', ends(Array(60).fill(call(`"${'x'.repeat(1_000)}"`)).join(SEPARATOR), 413)],
  ['an empty body', PAYLOAD, ends('')],
  ['a packet of no type', 'Packet encoding: types 0 to 6', ends('abc')],
  ['a packet of type 7', 'Packet encoding: types 0 to 6', ends('7')],
  ['a separator alone', PAYLOAD, ends(SEPARATOR)],
  ['a separator at the end', PAYLOAD, ends(`${call('1')}${SEPARATOR}`)],
  ['a separator at the start', PAYLOAD, ends(`${SEPARATOR}${call('1')}`)],
  ['two separators', PAYLOAD, ends(`${call('1')}${SEPARATOR}${SEPARATOR}${call('2', 2)}`)],
  ['octets that are no UTF-8', PAYLOAD, ends(Buffer.from([0x34, 0x32, 0xff]))],
  ['what comes before a bad packet is taken', PAYLOAD, async (one) => {
    const session = await one.polling();
    const { status } = await session.post(call('1'), 'abc');
    assert.equal(status, 400);
    await session.gone();
  }],
]);

const BASE64 = 'Packet encoding: binary data is base64 with the prefix b';
table('engineio base64', server, [
  ...[['nothing', 0], ['one octet', 1], ['two octets', 2], ['three octets', 3], ['a thousand octets', 1_000]].map(([what, size]) => [
    `an attachment of ${what} both ways`, BASE64, async (one) => {
      const session = await one.polling();
      const data = Buffer.from(Array.from({ length: size }, (_, at) => (at * 37) % 256));
      await session.send(binaryCall(), base64(data));
      await session.packet('461-');
      assert.equal(await session.packet('b'), base64(data));
    }]),
  ['the packet and its attachment in two bodies', BASE64, async (one) => {
    const session = await one.polling();
    await session.send(binaryCall());
    await session.send(base64('second'));
    assert.equal(await session.packet('b'), base64('second'));
  }],
  ['three attachments', BASE64, async (one) => {
    const session = await one.polling();
    await session.send(`453-/proto,1["message-with-ack",${placeholders(3)}]`, base64('a'), base64('b'), base64('c'));
    await session.packet(base64('c'));
    assert.deepEqual(session.got.slice(-4), [`463-/proto,1[${placeholders(3)}]`, base64('a'), base64('b'), base64('c')]);
  }],
  ['a packet behind an attachment', BASE64, async (one) => {
    const session = await one.polling();
    await session.send(binaryCall(), base64('x'), call('2', 2));
    await session.packet('43/proto,2[2]');
  }],
  ['characters that are none of base64', BASE64, async (one) => {
    const session = await one.polling();
    assert.equal((await session.post(binaryCall(), 'b!!!!')).status, 400);
    await session.gone();
  }],
  ['base64 cut short', BASE64, async (one) => {
    const session = await one.polling();
    assert.equal((await session.post(binaryCall(), 'bAQIDB')).status, 400);
    await session.gone();
  }],
  ['base64 that no packet announced', BASE64, async (one) => {
    const session = await one.polling();
    await session.post(base64('x'));
    await session.gone();
  }],
]);

table('engineio polls', server, [
  ['a poll waits until there is something', GET, async (one) => {
    const session = await one.polling();
    const poll = session.get();
    await poll.sent;
    let over = false;
    poll.then(() => { over = true; });
    // Answered on other connections meanwhile.
    for (let n = 0; n < 3; n += 1) await one.server.fetch('/livez');
    assert.equal(over, false);
    await session.send(call('1'));
    assert.deepEqual(packets((await poll).body), [answer('1')]);
  }],
  ['what was sent while nobody polled comes with the next poll', GET, async (one) => {
    const session = await one.polling();
    await session.send(call('1', 1));
    await session.send(call('2', 2));
    await session.packet('43/proto,2[2]');
    assert.ok(session.got.includes(answer('1', 1)));
  }],
  ['the answer is text, not to be stored', GET, async (one) => {
    const session = await one.polling();
    await session.send(call('1'));
    const { headers } = await session.get();
    assert.match(headers['content-type'], /^text\/plain; ?charset=utf-8$/i);
  }],
  ['two polls at once end the session', 'HTTP long-polling: one poll at a time', async (one) => {
    const session = await one.polling();
    const answers = await Promise.all([session.get(), session.get()]);
    assert.ok(answers.some(({ status }) => status === 400), JSON.stringify(answers));
    await session.gone();
  }],
  ['a poll that its client cancels ends the session', 'HTTP long-polling: as the reference server has it', async (one) => {
    const session = await one.polling();
    const poll = session.get();
    await poll.sent;
    // The poll waits by now: whoever looks for it in another way would end the session too.
    for (let n = 0; n < 3; n += 1) await one.server.fetch('/livez');
    poll.cancel();
    await poll;
    // A poll that is faster than the news of this one's end would end the session itself; a pong is nothing.
    await until(async () => (await session.post('3')).status === 400, 'the session ends', one.patience);
    await session.gone();
  }],
  ['two POSTs at once: one is refused, and the session ends', 'HTTP long-polling: one POST at a time', async (one) => {
    const session = await one.polling();
    const slow = session.request({ method: 'POST', body: '42', headers: { 'content-length': '10' }, unfinished: true });
    await slow.sent;
    await one.server.fetch('/livez');
    const { status } = await session.post(call('1'));
    assert.equal(status, 400);
    await session.gone();
    slow.cancel();
  }],
  ['a packet "close" ends the session, and lets a waiting poll go', 'Packet types: close', async (one) => {
    const session = await one.polling();
    const poll = session.get();
    await poll.sent;
    await one.server.fetch('/livez');
    assert.equal((await session.post('1')).status, 200);
    const { status } = await poll;
    assert.ok([200, 400].includes(status));
    await session.gone();
  }],
  ['a pong nobody asked for is nothing', 'Packet types: pong', async (one) => {
    const session = await one.polling();
    await session.send('3', '3', call('1'));
    await session.packet('43/proto,1[1]');
  }],
  ['a ping of the client ends the session', 'Heartbeat: the server pings', ends('2', 400)],
  ['an open packet of the client ends the session', 'Packet types: open is the server\'s', ends('0{}', 400)],
]);
