//! RFC 6455, the opening handshake: every header a client must send, in the spellings it may have, and what the answer must say.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { serves } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { text, upgradeRequest } from './lib/websocket.mjs';

const server = sharedServer();
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const acceptOf = (key) => createHash('sha1').update(key + GUID).digest('base64');

/** The headers of the answer: lower-case names, values as they are. */
const headersOf = (head) => Object.fromEntries(head.split('\r\n').slice(1).filter((line) => line !== '').map((line) => {
  const at = line.indexOf(':');
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}));

/** Sends a request and resolves to `{ peer, status, headers }` of its answer. */
async function shake(one, options, send = (peer, octets) => peer.write(octets)) {
  const peer = one.peer();
  await send(peer, Buffer.isBuffer(options) ? options : upgradeRequest(one.port, options));
  await peer.until(() => peer.head ?? peer.ended, 'an answer');
  assert.ok(peer.head, `an answer comes before the end of the connection; ${peer.said()}`);
  return { peer, status: Number(peer.head.split(' ')[1]), headers: headersOf(peer.head) };
}

/** The handshake succeeds, and what it opens works. */
async function opens(one, options, send) {
  const { peer, status, headers } = await shake(one, options, send);
  assert.equal(status, 101, peer.said());
  await peer.text('0{');
  peer.write(text('40/proto,'));
  await peer.text('40/proto,{');
  await serves(peer);
  return headers;
}

/** The handshake is refused with one of these, and nothing is open then. */
async function refused(one, options, ...codes) {
  const { peer, status, headers } = await shake(one, options);
  assert.ok(codes.includes(status), `${status}, where ${codes.join(' or ')} is due`);
  assert.deepEqual(peer.frames, []);
  return headers;
}

const good = (headers, options = {}) => (one) => opens(one, { headers, ...options });
const bad = (headers, ...codes) => (one) => refused(one, { headers }, ...(codes.length > 0 ? codes : [400]));

// ---- what is accepted ----

// The fourth is the example of section 4.1, whose last character has bits of no meaning.
const KEYS = ['dGhlIHNhbXBsZSBub25jZQ==', 'AAAAAAAAAAAAAAAAAAAAAA==', '/////////////////////w==', 'AQIDBAUGBwgJCgsMDQ4PEC==', '+/+/+/+/+/+/+/+/+/+/+w=='];
table('rfc6455 handshake accepted', server, [
  ...KEYS.map((key) => [`the answer to the key ${key}`, '4.2.2 5.4: base64 of the SHA-1 of the key and the GUID', async (one) => {
    const headers = await opens(one, { headers: { 'Sec-WebSocket-Key': key } });
    assert.equal(headers['sec-websocket-accept'], acceptOf(key));
  }]),
  ['the sample of the RFC', '1.3, 4.2.2', async (one) => {
    const headers = await opens(one, { headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } });
    assert.equal(headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  }],
  ['the answer says Upgrade and Connection', '4.2.2 5.2, 5.3', async (one) => {
    const headers = await opens(one);
    assert.equal(headers.upgrade.toLowerCase(), 'websocket');
    assert.equal(headers.connection.toLowerCase(), 'upgrade');
  }],
  ['an extension that is offered is not taken', '4.2.2 5.6, 9.1: the server need not accept any', async (one) => {
    const headers = await opens(one, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits, x-unknown; a="b"' } });
    assert.equal(headers['sec-websocket-extensions'], undefined);
  }],
  ['a subprotocol that is offered is not taken', '4.2.2 5.5: absent if the server agrees to none', async (one) => {
    const headers = await opens(one, { headers: { 'Sec-WebSocket-Protocol': 'chat, superchat' } });
    assert.equal(headers['sec-websocket-protocol'], undefined);
  }],
  ['the answer has no body', '4.2.2: frames follow its head', async (one) => {
    const headers = await opens(one);
    assert.ok(headers['content-length'] === undefined && headers['transfer-encoding'] === undefined);
  }],
  ...['upgrade', 'UPGRADE', 'keep-alive, Upgrade', 'Upgrade, keep-alive', 'keep-alive,upgrade', ' Upgrade ', 'keep-alive,  Upgrade ,x'].map((value) => [
    `Connection: ${JSON.stringify(value)}`, '4.2.1 4: a list with a token that is "Upgrade", in any case', good({ Connection: value })]),
  ['two Connection headers', '4.2.1 4', good({ Connection: ['keep-alive', 'Upgrade'] })],
  ...['WebSocket', 'WEBSOCKET', 'wEbSoCkEt', 'websocket, h2c', 'h2c, websocket', ' websocket '].map((value) => [
    `Upgrade: ${JSON.stringify(value)}`, '4.2.1 3: contains "websocket", in any case', good({ Upgrade: value })]),
  ['names of headers in lower case', '4.2.1: names are not case-sensitive', (one) => opens(one, Buffer.from(lowered(upgradeRequest(one.port).toString('latin1'))))],
  ['names of headers in upper case', '4.2.1', (one) => opens(one, Buffer.from(uppered(upgradeRequest(one.port).toString('latin1'))))],
  ['spaces around the version', '4.2.1 6', good({ 'Sec-WebSocket-Version': '  13  ' })],
  ['spaces around the key', '4.2.1 5', good({ 'Sec-WebSocket-Key': '   dGhlIHNhbXBsZSBub25jZQ==  ' })],
  ['the target as an absolute URI', '4.2.1 1, RFC 9112 3.2.2', (one) => opens(one, { path: `http://127.0.0.1:${one.port}/socket.io/?EIO=4&transport=websocket` })],
  ['further headers', '4.2.1 10', good({ Cookie: 'a=b', Authorization: 'Basic eDp5', 'X-Unknown': 'ü', 'User-Agent': 'x'.repeat(2_000) })],
  ['no Origin', '4.2.1 7: a client that is no browser sends none', good({ Origin: null })],
  ['octet by octet', '4.2.1', (one) => opens(one, {}, (peer, octets) => peer.chop(octets))],
  ['cut in each of its lines', '4.2.1', (one) => opens(one, {}, (peer, octets) => peer.chop(octets.toString('latin1').split(/(?<=\r)/).map((line) => Buffer.from(line))))],
  ['a request before it on the same connection', 'RFC 9112 9.3: connections are kept', async (one) => {
    const peer = one.peer();
    peer.write(Buffer.from(`GET /livez HTTP/1.1\r\nHost: 127.0.0.1:${one.port}\r\n\r\n`));
    await peer.until(() => peer.head, 'an answer');
    assert.match(peer.head, /^HTTP\/1.1 200/);
    const again = new Promise((done) => { peer.socket.once('data', (chunk) => done(chunk.toString('latin1'))); });
    peer.write(upgradeRequest(one.port));
    assert.match(await again, /^HTTP\/1.1 101 /);
  }],
]);

const names = (request, change) => request.replace(/^([\w-]+):/gm, (name) => change(name));
function lowered(request) { return names(request, (name) => name.toLowerCase()); }
function uppered(request) { return names(request, (name) => name.toUpperCase()); }

// ---- what is refused ----

const VERSION = '4.2.2 4, 4.4: an appropriate code such as 426, with the versions the server speaks';
const versioned = (value, ...codes) => async (one) => {
  const headers = await refused(one, { headers: { 'Sec-WebSocket-Version': value } }, 426, ...codes);
  assert.equal(headers['sec-websocket-version'], '13');
};
table('rfc6455 handshake refused', server, [
  ['no Host', '4.2.1 2', bad({ Host: null })],
  ['two Hosts', '4.2.1 2, RFC 9112 3.2', bad({ Host: ['127.0.0.1', 'example.org'] })],
  ['HTTP/1.0', '4.2.1 1: HTTP/1.1 or higher', (one) => refused(one, { version: 'HTTP/1.0' }, 400, 426, 505)],
  ...['POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'CONNECT', 'get'].map((method) => [
    `the method ${method}`, '4.2.1 1: a GET', async (one) => {
      const { status } = await shake(one, { method, ...(method === 'CONNECT' ? { path: `127.0.0.1:${one.port}` } : {}) });
      assert.ok(status >= 400 && status < 500, `${status}`);
    }]),
  ['no Upgrade', '4.2.1 3', bad({ Upgrade: null }, 400, 426)],
  ['an empty Upgrade', '4.2.1 3', bad({ Upgrade: '' }, 400, 426)],
  ['Upgrade: h2c', '4.2.1 3', bad({ Upgrade: 'h2c' }, 400, 426)],
  ['Upgrade: websockets', '4.2.1 3', bad({ Upgrade: 'websockets' }, 400, 426)],
  ['no Connection', '4.2.1 4', bad({ Connection: null }, 400, 426)],
  ['Connection: keep-alive', '4.2.1 4', bad({ Connection: 'keep-alive' }, 400, 426)],
  ['Connection: upgraded', '4.2.1 4', bad({ Connection: 'upgraded' }, 400, 426)],
  ['no key', '4.2.1 5', bad({ 'Sec-WebSocket-Key': null })],
  ['an empty key', '4.2.1 5', bad({ 'Sec-WebSocket-Key': '' })],
  ['a key of 15 octets', '4.2.1 5: 16 octets when decoded', bad({ 'Sec-WebSocket-Key': Buffer.alloc(15).toString('base64') })],
  ['a key of 17 octets', '4.2.1 5', bad({ 'Sec-WebSocket-Key': Buffer.alloc(17).toString('base64') })],
  ['a key of 1,000 octets', '4.2.1 5', bad({ 'Sec-WebSocket-Key': Buffer.alloc(1_000).toString('base64') })],
  ['a key without its padding', '4.2.1 5: base64', bad({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' })],
  ['a key with a character that is none of base64', '4.2.1 5', bad({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25j!Q==' })],
  ['a key in the alphabet of URLs', '4.2.1 5', bad({ 'Sec-WebSocket-Key': '-_-_-_-_-_-_-_-_-_-_-w==' })],
  ['a key with a space inside', '4.2.1 5', bad({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBs ZSBub25jZQ==' })],
  ['two keys', '11.3.1: MUST NOT appear more than once', bad({ 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==', 'AAAAAAAAAAAAAAAAAAAAAA=='] })],
  ['the same key twice', '11.3.1', bad({ 'Sec-WebSocket-Key': ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ=='] })],
  ...['0', '7', '8', '12', '14', '130', '255', '256', '013', '+13', '13.0', 'thirteen', '0x0d', '8, 7'].map((value) => [
    `version ${value}`, VERSION, versioned(value)]),
  ['no version', '4.2.1 6', async (one) => {
    const headers = await refused(one, { headers: { 'Sec-WebSocket-Version': null } }, 400, 426);
    assert.equal(headers['sec-websocket-version'], '13');
  }],
  ['an empty version', '4.2.1 6', bad({ 'Sec-WebSocket-Version': '' }, 400, 426)],
  ['two versions', '11.3.5: MUST NOT appear more than once in a request', bad({ 'Sec-WebSocket-Version': ['13', '8'] }, 400, 426)],
  ['a refused handshake opens no session', '4.2.2', async (one) => {
    const before = (await one.server.metrics()).sum('carillon_connected_clients');
    for (let n = 0; n < 10; n += 1) await refused(one, { headers: { 'Sec-WebSocket-Key': null } }, 400);
    assert.ok((await one.server.metrics()).sum('carillon_connected_clients') <= before + 8, 'no client came of it');
  }],
]);
