//! Socket.IO protocol 5, namespaces: CONNECT, CONNECT_ERROR and DISCONNECT, over every transport.

import assert from 'node:assert/strict';
import { join, onEach } from './lib/line.mjs';
import { answer, call } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';

const server = sharedServer();
const CONNECT = 'Connection to a namespace: the server MUST answer CONNECT with a sid, or CONNECT_ERROR';
const FIRST = 'Connection to a namespace: without a CONNECT first the server MUST close the connection';
const LEAVE = 'Disconnection from a namespace: a DISCONNECT packet at any time, and no answer';
const errorOf = (packet) => JSON.parse(packet.slice(packet.indexOf('{')));

table('socketio connect', server, onEach([
  ['the main namespace', CONNECT, async (line) => {
    const { sid, ...others } = await join(line, '/');
    assert.match(sid, /^[\w-]{16,64}$/);
    assert.deepEqual(others, {});
  }],
  ['the main namespace by its name', CONNECT, async (line) => {
    await line.send('40/,');
    await line.packet('40{"sid":');
  }],
  ['another namespace', CONNECT, async (line) => {
    assert.match((await join(line)).sid, /^[\w-]{16,64}$/);
  }],
  ['another namespace, without a comma', CONNECT, async (line) => {
    await line.send('40/proto');
    await line.packet('40/proto,{"sid":');
  }],
  ['the sid of the reply is not that of the session', 'CONNECT: the sid of the Socket.IO session', async (line) => {
    assert.notEqual((await join(line)).sid, line.open.sid);
  }],
  ['the sid that the main namespace tells in its greeting is that of the reply', 'CONNECT: the sid of the Socket.IO session', async (line) => {
    const { sid } = await join(line, '/');
    const [, { sid: told }] = JSON.parse((await line.packet('42["connection_confirmed"')).slice(2));
    assert.equal(told, sid);
  }],
  ['auth reaches the namespace as it was written', 'CONNECT: the payload is an object with credentials', async (line) => {
    await join(line, '/second', '{"token":"right","more":["é",null,1.50]}');
    assert.equal(await line.packet('42/second,["auth"'), '42/second,["auth",{"token":"right","more":["é",null,1.50]}]');
  }],
  ['a namespace that refuses says why', CONNECT, async (line) => {
    await line.send('40/second,{"token":"guessed"}');
    assert.equal(errorOf(await line.packet('44/second,')).message, 'the token is wrong');
  }],
  ['a refusal tells its code, and whether to try again', 'CONNECT_ERROR: the payload may have further data', async (line) => {
    await line.send('40/second,{"token":"guessed"}');
    assert.deepEqual(errorOf(await line.packet('44/second,')), { message: 'the token is wrong', data: { code: 'forbidden', retryable: false } });
  }],
  ['a namespace that is not there', CONNECT, async (line) => {
    await line.send('40/nope,');
    assert.equal(errorOf(await line.packet('44/nope,')).message, 'Invalid namespace');
  }],
  ['a namespace that is not there has a code too', 'CONNECT_ERROR: the payload may have further data', async (line) => {
    await line.send('40/nope,');
    const { data } = errorOf(await line.packet('44/nope,'));
    assert.equal(data.retryable, false);
    assert.equal(typeof data.code, 'string');
  }],
  ['after a refusal the session goes on', CONNECT, async (line) => {
    await line.send('40/second,{"token":"guessed"}');
    await line.packet('44/second,');
    await join(line);
    await join(line, '/second', '{"token":"right"}');
  }],
  ['a refused client has joined nothing', FIRST, async (line) => {
    await line.send('40/second,{"token":"guessed"}');
    await line.packet('44/second,');
    await line.send('42/second,1["count"]');
    await line.ends();
  }],
  ['a namespace with letters of any script', CONNECT, async (line) => {
    await line.send('40/café,');
    assert.equal(errorOf(await line.packet('44/café,')).message, 'Invalid namespace');
  }],
  ['several namespaces over one session', 'Introduction: namespaces are multiplexed', async (line) => {
    const ids = [];
    for (const [namespace, auth] of [['/', ''], ['/proto', ''], ['/second', '{"token":"right"}'], ['/echo', '']]) ids.push((await join(line, namespace, auth)).sid);
    await line.send('42/proto,1["count"]', '42/second,2["count"]', '42/echo,3["say",{"text":"x"}]');
    await line.packet('43/proto,1[{"ok":true,"data":{"calls":1}}]');
    await line.packet('43/second,2[{"ok":true,"data":{"calls":1}}]');
    await line.packet('43/echo,3[{"ok":true,"data":{"text":"x"}}]');
  }],
  ['two CONNECTs at once', 'Introduction: namespaces are multiplexed', async (line) => {
    await line.send('40/proto,', '40/echo,');
    await line.packet('40/proto,{');
    await line.packet('40/echo,{');
  }],
  ['the reply comes before any event of the namespace', CONNECT, async (line) => {
    await line.send('40/second,{"token":"right"}');
    await line.packet('42/second,["auth"');
    const said = line.said().filter((packet) => packet.includes('/second,'));
    assert.ok(said[0].startsWith('40/second,{"sid"'), JSON.stringify(said));
  }],
  ['a second CONNECT changes nothing', CONNECT, async (line) => {
    await join(line);
    await line.send('42/proto,1["count"]', '40/proto,', '42/proto,2["count"]');
    await line.packet('43/proto,2[{"ok":true,"data":{"calls":2}}]');
  }],
]));

table('socketio first', server, onEach([
  ['an event before CONNECT', FIRST, async (line) => {
    await line.send('42["message-with-ack"]');
    await line.ends();
  }],
  ['an event of a namespace before CONNECT', FIRST, async (line) => {
    await line.send(call('1'));
    await line.ends();
    assert.ok(!line.said().some((packet) => packet.startsWith('43')));
  }],
  ['an ack before CONNECT', FIRST, async (line) => {
    await line.send('43/proto,1[]');
    await line.ends();
  }],
  ['a binary event before CONNECT', FIRST, async (line) => {
    await line.send('451-/proto,["message",{"_placeholder":true,"num":0}]', Buffer.from('x'));
    await line.ends();
  }],
  ['an event of another namespace than the one that was joined', FIRST, async (line) => {
    await join(line, '/echo');
    await line.send(call('1'));
    await line.ends();
    assert.ok(!line.said().some((packet) => packet.startsWith('43')));
  }],
  ['CONNECT with auth that is no JSON', 'CONNECT: the payload is JSON', async (line) => {
    await line.send('40/proto,{"token":');
    await line.ends();
  }],
  ['CONNECT with auth and something behind it', 'CONNECT: the payload is JSON', async (line) => {
    await line.send('40/proto,{}x');
    await line.ends();
  }],
]));

table('socketio disconnect', server, onEach([
  ['DISCONNECT is not answered, and another namespace goes on', LEAVE, async (line) => {
    await join(line, '/echo');
    await join(line);
    await line.send('41/proto,', '42/echo,1["say",{"text":"x"}]');
    await line.packet('43/echo,1[{"ok":true');
    assert.ok(!line.said().some((packet) => packet.startsWith('41')));
  }],
  ['an event behind DISCONNECT ends the session', FIRST, async (line) => {
    await join(line);
    await line.send('41/proto,');
    await line.send(call('1'));
    await line.ends();
  }],
  ['DISCONNECT, CONNECT: another client with another sid', LEAVE, async (line) => {
    const { sid } = await join(line);
    await line.send('42/proto,1["count"]');
    await line.packet('43/proto,1[');
    await line.send('41/proto,');
    await line.send('40/proto,');
    const [, second] = await line.all('40/proto,{', 2);
    assert.notEqual(JSON.parse(second.slice(9)).sid, sid);
    await line.send('42/proto,2["count"]');
    await line.packet('43/proto,2[{"ok":true,"data":{"calls":1}}]');
  }],
  ['DISCONNECT of a namespace that is not there', LEAVE, async (line) => {
    await join(line);
    await line.send('41/nope,');
    await line.send(call('1'));
    await line.packet(answer('1'));
  }],
  ['DISCONNECT of the main namespace', LEAVE, async (line) => {
    await join(line, '/');
    await join(line);
    await line.send('41');
    await line.send(call('1'));
    await line.packet(answer('1'));
  }],
  ['the server sends a client away', LEAVE, async (line) => {
    await join(line);
    await join(line, '/echo');
    await line.send('42/proto,["leave-me",{"how":"disconnect"}]');
    assert.equal(await line.packet('41'), '41/proto,');
    await line.send('42/echo,1["say",{"text":"x"}]');
    await line.packet('43/echo,1[{"ok":true');
  }],
  ['the server ends the session', LEAVE, async (line) => {
    await join(line);
    await line.send('42/proto,["leave-me",{"how":"close"}]');
    await line.ends();
  }],
]));
