//! Engine.IO protocol 4, WebSocket sessions and the upgrade: the probe, what may happen in its course, and two WebSockets for one session.

import assert from 'node:assert/strict';
import { upgrade } from './lib/line.mjs';
import { answer, call, echoed, serves } from './lib/proto.mjs';
import { packets } from './lib/polling.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { close, frame, OPCODE, text, upgradeRequest } from './lib/websocket.mjs';

const server = sharedServer();

/** A WebSocket that asks for a session. */
function second(one, sid) {
  const peer = one.peer();
  peer.write(upgradeRequest(one.port, { path: `/socket.io/?EIO=4&transport=websocket&sid=${sid}` }));
  return peer;
}
/** Sends the probe and waits for its answer. */
async function probe(peer) {
  peer.write(text('2probe'));
  await peer.until(() => peer.texts().includes('3probe'), 'the answer to the probe');
}
const status = (peer) => peer.until(() => peer.head, 'an answer').then((head) => Number(head.split(' ')[1]));

const PROBE = 'Upgrade: the client sends a ping "probe", the server answers with a pong "probe"';
const AFTER = 'Upgrade: the client sends an upgrade packet, and the WebSocket is the transport';
const LOSS = 'Upgrade: a waiting poll is let go, and no packet is lost or comes twice';
const SECOND = 'Upgrade: once upgraded, HTTP requests and WebSockets for the session are refused';

table('engineio upgrade', server, [
  ['the probe is answered', PROBE, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    assert.equal(await status(peer), 101);
    await probe(peer);
    assert.deepEqual(peer.texts(), ['3probe'], 'and nothing else is said');
  }],
  ['after the upgrade calls are answered over the WebSocket', AFTER, async (one) => {
    const peer = await upgrade(one, await one.polling());
    await serves(peer);
  }],
  ['a client may join after the upgrade', AFTER, async (one) => {
    const peer = await upgrade(one, await one.polling({ namespace: null }));
    peer.write(text('40/proto,'));
    await peer.text('40/proto,{');
    await serves(peer);
  }],
  ['a poll that waits is let go', LOSS, async (one) => {
    const session = await one.polling();
    const poll = session.get();
    await poll.sent;
    await one.server.fetch('/livez');
    const peer = await upgrade(one, session);
    const { status: code, body } = await poll;
    assert.equal(code, 200);
    assert.deepEqual(packets(body), ['6']);
    await serves(peer);
  }],
  ['what waits in the session comes over the WebSocket', LOSS, async (one) => {
    const session = await one.polling();
    await session.send(call('1', 1), call('2', 2));
    const peer = await upgrade(one, session);
    await echoed(peer, '1', 1);
    await echoed(peer, '2', 2);
  }],
  ['what is posted while the probe is under way is answered once, in order', LOSS, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await session.send(call('0', 0));
    await probe(peer);
    await session.send(call('1', 1));
    peer.write(text('5'), text(call('2', 2)));
    await echoed(peer, '2', 2);
    const said = peer.texts().filter((packet) => packet.startsWith('43'));
    assert.deepEqual(said, [0, 1, 2].map((id) => answer(id, id)));
  }],
  ['the upgrade in the middle of a burst', LOSS, async (one) => {
    const session = await one.polling();
    const ids = (from) => Array.from({ length: 100 }, (_, at) => from + at);
    const poll = session.get();
    await session.send(...ids(0).map((id) => call(id, id)));
    const peer = second(one, session.sid);
    await probe(peer);
    peer.write(Buffer.concat([text('5'), ...ids(100).map((id) => text(call(id, id)))]));
    await echoed(peer, '199', 199);
    const got = [...packets((await poll).body), ...peer.texts()].filter((packet) => packet.startsWith('43'));
    assert.deepEqual(got, [...ids(0), ...ids(100)].map((id) => answer(id, id)));
  }],
  ['the upgrade packet and a call in one write', AFTER, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await probe(peer);
    peer.write(Buffer.concat([text('5'), text(call('7', 7))]));
    await echoed(peer, '7', 7);
  }],
  ['the probe octet by octet', PROBE, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await peer.until(() => peer.head, 'an answer');
    await peer.chop(Buffer.concat([text('2probe'), text('5'), text(call('7', 7))]));
    await echoed(peer, '7', 7);
  }],
  ['a ping of RFC 6455 before the probe', PROBE, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    peer.write(frame(OPCODE.ping, 'rfc'));
    await peer.until(() => peer.pongs().length > 0, 'a pong');
    await probe(peer);
    peer.write(text('5'));
    await serves(peer);
  }],
  ['a probe whose client goes away leaves the session polling', 'Upgrade: the session goes on if the probe fails', async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await probe(peer);
    peer.destroy();
    await one.server.fetch('/livez');
    await session.send(call('1'));
    await session.packet('43/proto,1[1]');
  }],
  ['a probe that is closed leaves the session polling', 'Upgrade: the session goes on if the probe fails', async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await probe(peer);
    peer.write(close(1000));
    await peer.until(() => peer.ended, 'the server ends the WebSocket');
    await session.send(call('1'));
    await session.packet('43/proto,1[1]');
  }],
  ['a WebSocket that says something else than a probe is closed, and the session goes on', PROBE, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    peer.write(text(call('1')));
    await peer.until(() => peer.ended, 'the server ends the WebSocket');
    assert.ok(!peer.texts().some((packet) => packet.startsWith('43')));
    await session.send(call('2', 2));
    await session.packet('43/proto,2[2]');
    assert.ok(!session.got.some((packet) => packet.startsWith('43/proto,1')));
  }],
  ['polling goes on while a WebSocket says nothing', PROBE, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    assert.equal(await status(peer), 101);
    await session.send(call('1'));
    await session.packet('43/proto,1[1]');
  }],
  ['polling goes on between the probe and the upgrade packet', LOSS, async (one) => {
    const session = await one.polling();
    const peer = second(one, session.sid);
    await probe(peer);
    await session.send(call('1'));
    peer.write(text('5'));
    await echoed(peer, '1');
  }],
]);

table('engineio two transports', server, [
  ['a poll after the upgrade is refused', SECOND, async (one) => {
    const session = await one.polling();
    const peer = await upgrade(one, session);
    await serves(peer, 1);
    assert.equal((await session.get()).status, 400);
    await serves(peer, 2);
  }],
  ['a POST after the upgrade is refused', SECOND, async (one) => {
    const session = await one.polling();
    const peer = await upgrade(one, session);
    await serves(peer, 1);
    assert.equal((await session.post(call('5', 5))).status, 400);
    await serves(peer, 2);
    assert.ok(!peer.texts().some((packet) => packet.startsWith('43/proto,5')));
  }],
  ['a second WebSocket after the upgrade is closed, and the first goes on', SECOND, async (one) => {
    const session = await one.polling();
    const peer = await upgrade(one, session);
    await serves(peer, 1);
    const other = second(one, session.sid);
    assert.equal(await status(other), 101);
    await other.until(() => other.ended, 'the server ends the second WebSocket');
    assert.deepEqual(other.texts(), []);
    await serves(peer, 2);
  }],
  ['a WebSocket for a session that began as one is closed, and the first goes on', SECOND, async (one) => {
    const peer = await one.open();
    const { sid } = JSON.parse((await peer.text('0{')).slice(1));
    const other = second(one, sid);
    assert.equal(await status(other), 101);
    await other.until(() => other.ended, 'the server ends the second WebSocket');
    await serves(peer);
  }],
  ['a second probe while one is under way is closed, and the first goes on', SECOND, async (one) => {
    const session = await one.polling();
    const first = second(one, session.sid);
    await probe(first);
    const other = second(one, session.sid);
    await other.until(() => other.ended, 'the server ends the second WebSocket');
    first.write(text('5'));
    await serves(first);
  }],
  ['a session that has upgraded ends with its WebSocket', AFTER, async (one) => {
    const session = await one.polling();
    const peer = await upgrade(one, session);
    await serves(peer);
    peer.write(close(1000));
    await peer.until(() => peer.ended, 'the server ends the WebSocket');
    await session.gone();
  }],
]);

const FRAMES = 'WebSocket: each packet is sent in a frame of its own';
const ends = (...octets) => async (one) => {
  const peer = await one.open();
  peer.write(...octets);
  await peer.until(() => peer.ended, 'the server ends the WebSocket');
};
table('engineio websocket', server, [
  ['one packet, one frame', FRAMES, async (one) => serves(await one.open())],
  ['binary data is a packet as it is', 'Packet encoding: binary payloads are sent as they are', async (one) => {
    const peer = await one.open();
    peer.write(text('451-/proto,["message",{"_placeholder":true,"num":0}]'), frame(OPCODE.binary, 'b4'));
    await peer.until(() => peer.frames.some(({ opcode, data }) => opcode === OPCODE.binary && data.toString() === 'b4'), 'the same back');
  }],
  ['a payload of polling is no packet', FRAMES, ends(text(`${call('1')}\x1e${call('2', 2)}`))],
  ['base64 of polling is no packet', FRAMES, ends(text('451-/proto,["message",{"_placeholder":true,"num":0}]'), text('bAAAA'))],
  ['a packet "close" ends the connection', 'Packet types: close', ends(text('1'))],
  ['a packet of no type', 'Packet encoding: types 0 to 6', ends(text('abc'))],
  ['an empty packet', 'Packet encoding: types 0 to 6', ends(text(''))],
  ['an open packet', 'Packet types: open is the server\'s', ends(text('0{}'))],
  ['a ping of the client', 'Heartbeat: the server pings', ends(text('2'))],
  ['a pong nobody asked for is nothing', 'Packet types: pong', async (one) => {
    const peer = await one.open();
    peer.write(text('3'), text('3'));
    await serves(peer);
  }],
]);
