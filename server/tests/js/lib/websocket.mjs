//! A WebSocket client made of octets: it sends any frame, right or wrong, and checks that each frame it gets is right.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { DEADLINE_MS } from './wait.mjs';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** The request that opens a WebSocket at the Socket.IO endpoint; a header that is `null` is left out, a list is sent line by line. */
export function upgradeRequest(port, { method = 'GET', path = '/socket.io/?EIO=4&transport=websocket', version = 'HTTP/1.1', headers = {} } = {}) {
  const all = {
    Host: `127.0.0.1:${port}`, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==', ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}`));
  return Buffer.from([`${method} ${path} ${version}`, ...lines, '', ''].join('\r\n'), 'latin1');
}

/** One frame. `length` is how it is written (0, 16 or 64 bits after the first seven), `declared` what it claims. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = [0x37, 0xfa, 0x21, 0x3d], length, declared } = {}) {
  const data = Buffer.from(payload);
  const size = BigInt(declared ?? data.length);
  const bits = length ?? (size < 126n ? 0 : size < 65_536n ? 16 : 64);
  const masked = mask === null ? 0 : 0x80;
  const long = Buffer.alloc(8);
  long.writeBigUInt64BE(size);
  const head = {
    0: () => [masked | Number(size)],
    16: () => [masked | 126, ...long.subarray(6)],
    64: () => [masked | 127, ...long],
  }[bits]();
  return Buffer.concat([
    Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, ...head, ...(mask ?? [])]),
    mask === null ? data : data.map((octet, at) => octet ^ mask[at % 4]),
  ]);
}

export const text = (payload, options) => frame(OPCODE.text, payload, options);

/** A close frame; without a code its payload is empty. */
export function close(code, reason = '', options) {
  if (code === undefined) return frame(OPCODE.close, '', options);
  return frame(OPCODE.close, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]), options);
}

/** Reads the frames at the start of `octets`: `{ frames, rest }`. A frame that a server may not send throws. */
export function parse(octets) {
  const frames = [];
  let at = 0;
  for (;;) {
    if (octets.length < at + 2) break;
    const [first, second] = [octets[at], octets[at + 1]];
    let size = second & 0x7f;
    let from = at + 2;
    if (size === 126) {
      if (octets.length < at + 4) break;
      size = octets.readUInt16BE(at + 2);
      from += 2;
      assert.ok(size > 125, '5.2: the shortest way to write a length');
    } else if (size === 127) {
      if (octets.length < at + 10) break;
      size = Number(octets.readBigUInt64BE(at + 2));
      from += 8;
      assert.ok(size > 65_535, '5.2: the shortest way to write a length');
    }
    assert.equal(second & 0x80, 0, '5.1: a server does not mask');
    assert.equal(first & 0x70, 0, '5.2: no extension, so no reserved bit');
    const opcode = first & 0x0f;
    assert.ok(Object.values(OPCODE).includes(opcode), `5.2: opcode ${opcode}`);
    if (opcode >= 8) assert.ok(first >= 0x80 && size <= 125, '5.5: a control frame is short and whole');
    if (octets.length < from + size) break;
    frames.push({ opcode, fin: first >= 0x80, data: octets.subarray(from, from + size) });
    at = from + size;
  }
  return { frames, rest: octets.subarray(at) };
}

/** One TCP connection to a server: first the answer to the upgrade request, then frames. */
export class Peer {
  constructor(port, { host = '127.0.0.1', localAddress, patience = DEADLINE_MS } = {}) {
    this.patience = patience;
    this.head = undefined;
    this.frames = [];
    this.ended = false;
    this.wake = () => {};
    let rest = Buffer.alloc(0);
    this.socket = connect({ port, host, localAddress, noDelay: true });
    const changed = () => {
      const { wake } = this;
      this.wake = () => {};
      wake();
    };
    for (const event of ['data', 'end', 'close']) this.socket.on(event, () => setImmediate(changed));
    this.socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      if (this.head === undefined) {
        const end = rest.indexOf('\r\n\r\n');
        if (end === -1) return;
        this.head = rest.toString('latin1', 0, end + 2);
        rest = rest.subarray(end + 4);
      }
      if (!this.head.startsWith('HTTP/1.1 101')) return;
      try {
        const parsed = parse(rest);
        this.frames.push(...parsed.frames);
        rest = parsed.rest;
      } catch (error) {
        this.fault ??= error;
      }
    });
    this.socket.on('end', () => { this.ended = true; });
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('close', () => { this.ended = true; });
  }

  write(...pieces) {
    for (const piece of pieces) if (!this.socket.destroyed) this.socket.write(piece);
  }

  /** Writes octet by octet, or piece by piece, each in a segment of its own as far as the kernel allows. */
  async chop(pieces) {
    for (const piece of pieces) {
      if (this.socket.destroyed) return;
      await new Promise((done) => { this.socket.write(typeof piece === 'number' ? Buffer.from([piece]) : piece, done); });
    }
  }

  /** The payloads of all text messages so far, pings of Engine.IO left out. */
  texts() {
    return this.frames.filter(({ opcode }) => opcode === OPCODE.text).map(({ data }) => data.toString()).filter((one) => one !== '2');
  }

  /** The payloads of all pongs so far. */
  pongs() {
    return this.frames.filter(({ opcode }) => opcode === OPCODE.pong).map(({ data }) => data);
  }

  /** The close frame, once there is one: `{ code, reason }`. */
  closed() {
    const data = this.frames.find(({ opcode }) => opcode === OPCODE.close)?.data;
    if (data === undefined) return undefined;
    return { code: data.length >= 2 ? data.readUInt16BE(0) : undefined, reason: data.subarray(2).toString() };
  }

  /** What has come so far, in words. */
  said() {
    return `head ${JSON.stringify(this.head?.split('\r\n')[0])}, frames ${JSON.stringify(this.frames.map(({ opcode, data }) => `${opcode}:${data.toString().slice(0, 80)}`)).slice(0, 600)}, ${this.ended ? 'ended' : 'open'}`;
  }

  /** Looks at a condition whenever something has come, until it holds; a frame that breaks the RFC ends the wait. */
  async until(condition, what, ms = this.patience) {
    const deadline = performance.now() + ms;
    for (;;) {
      if (this.fault) throw this.fault;
      const value = condition();
      if (value) return value;
      if (this.ended) throw new Error(`the connection has ended: ${what}; ${this.said()}`);
      const left = deadline - performance.now();
      if (left < 0) throw new Error(`not within ${ms} ms: ${what}; ${this.said()}`);
      await new Promise((done) => {
        const timer = setTimeout(done, left + 1);
        const before = this.wake;
        this.wake = () => {
          clearTimeout(timer);
          before();
          done();
        };
      });
    }
  }

  /** Resolves to the first text that starts with `prefix`. */
  text(prefix, ms) {
    return this.until(() => this.texts().find((one) => one.startsWith(prefix)), `a text ${prefix}…`, ms);
  }

  /** The server closes with this code, says nothing more, and ends the TCP connection. */
  async closes(code) {
    await this.until(() => this.ended || this.closed(), `a close frame ${code}`);
    const got = this.closed();
    assert.ok(got, `a close frame ${code} comes before the end of the connection; ${this.said()}`);
    assert.equal(got.code, code, `the code of the close frame (${got.reason})`);
    await this.until(() => this.ended, 'the server ends the TCP connection');
    const at = this.frames.findIndex(({ opcode }) => opcode === OPCODE.close);
    assert.equal(this.frames.length, at + 1, `5.5.1: nothing after a close frame; ${this.said()}`);
  }

  destroy() {
    this.socket.destroy();
  }
}

/** A WebSocket that has got the open packet and, unless `namespace` is null, has joined it. */
export async function openPeer(port, { namespace = '/echo', headers, ...options } = {}) {
  const peer = new Peer(port, options);
  peer.write(upgradeRequest(port, { headers }));
  await peer.text('0{');
  if (namespace !== null) {
    peer.write(text(`40${namespace === '/' ? '' : `${namespace},`}`));
    await peer.text(namespace === '/' ? '40{' : `40${namespace},{`);
  }
  return peer;
}
