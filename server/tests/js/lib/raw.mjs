//! Sends what no stock client would: bare Engine.IO packets over a WebSocket, over HTTP, or in one TCP segment.

import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { connect as tcpConnect } from 'node:net';
import WebSocket from 'ws';
import { until, within } from './wait.mjs';

const ENDPOINT = '/socket.io/?EIO=4';

/** A WebSocket at the Socket.IO endpoint that records every frame and how it ended. */
export async function openRaw(url, { query = '', headers = {}, namespace, trust = {} } = {}) {
  const ws = new WebSocket(`${url.replace('http', 'ws')}${ENDPOINT}&transport=websocket${query}`, { headers, ...trust });
  ws.frames = [];
  ws.closed = null;
  ws.on('message', (data, binary) => ws.frames.push(binary ? data : data.toString()));
  const end = new Promise((done) => ws.on('close', (code, reason) => {
    ws.closed = { code, reason: reason.toString() };
    done(ws.closed);
  }));
  ws.on('error', (error) => { ws.failure = error; });
  /** Resolves to the first frame, past or future, that starts with `prefix`. */
  ws.frame = (prefix) => until(
    () => ws.frames.find((frame) => typeof frame === 'string' && frame.startsWith(prefix)),
    () => `a frame ${prefix}…; got ${JSON.stringify(ws.frames).slice(0, 1000)}, ${JSON.stringify(ws.closed)}`,
  );
  ws.ends = () => within(end, () => `the server closes the connection; got ${JSON.stringify(ws.frames)}`);
  await within(new Promise((done, fail) => {
    ws.on('open', done);
    ws.on('error', fail);
  }), 'a WebSocket opens');
  await ws.frame('0{');
  if (namespace !== undefined) {
    const prefix = namespace === '/' ? '' : `${namespace},`;
    ws.send(`40${prefix}`);
    await ws.frame(`40${prefix}{`);
  }
  return ws;
}

/**
 * A WebSocket in `namespace` that reads so many bytes a second: `closed`, and `after` how many milliseconds. `open` gives
 * the connection.
 */
export async function openTrickle(t, port, namespace, bytesPerSecond, open = () => tcpConnect(port, '127.0.0.1')) {
  const EVERY_MS = 50;
  const opened = performance.now();
  const socket = open();
  const trickle = { closed: false, after: undefined };
  // In this mode it reads from the kernel only what is taken here, and a buffer's worth ahead.
  socket.on('readable', () => {});
  const timer = setInterval(() => socket.read(Math.min((bytesPerSecond * EVERY_MS) / 1000, socket.readableLength)), EVERY_MS);
  const end = () => {
    if (!trickle.closed) Object.assign(trickle, { closed: true, after: performance.now() - opened });
    clearInterval(timer);
  };
  socket.on('error', end);
  socket.on('close', end);
  t.after(() => socket.destroy());
  socket.write(webSocketRequest(port));
  socket.write(textFrame(`40${namespace},`));
  return trickle;
}

/** A polling session made by hand: `get()` and `post(body)` resolve to `{ status, body }`. */
export async function openPolling(url, namespace) {
  const opened = await http(url, 'GET', `${ENDPOINT}&transport=polling`);
  const { sid } = JSON.parse(opened.body.slice(1));
  const path = `${ENDPOINT}&transport=polling&sid=${sid}`;
  const session = {
    sid,
    get: () => http(url, 'GET', path),
    post: (body, type) => http(url, 'POST', path, body, type),
  };
  if (namespace !== undefined) {
    const prefix = namespace === '/' ? '' : `${namespace},`;
    await session.post(`40${prefix}`);
    let got = '';
    await until(async () => {
      got += (await session.get()).body;
      return got.includes(`40${prefix}{`);
    }, () => `${namespace} lets a polling client in; got ${got}`);
  }
  return session;
}

/** One request, over HTTP or HTTPS, on a connection of its own; `reset` tells that the server cut it before an answer. */
export function http(url, method, path, body, type = 'text/plain;charset=UTF-8', headers = {}, trust = {}) {
  const request = url.startsWith('https:') ? secure : plain;
  return within(new Promise((done, fail) => {
    const sent = request(`${url}${path}`, { ...trust, method, agent: false, headers: { ...(body === undefined ? {} : { 'content-type': type }), ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
      response.on('error', fail);
    });
    sent.on('error', (error) => {
      if (['ECONNRESET', 'EPIPE'].includes(error.code)) done({ reset: true });
      else fail(error);
    });
    sent.end(body);
  }), `${method} ${path} answers`);
}

/** Resolves once nobody listens on a port of this machine. */
export function released(port, ms) {
  return until(() => new Promise((done) => {
    const socket = tcpConnect(port, '127.0.0.1', () => done(false));
    socket.on('error', ({ code }) => done(code === 'ECONNREFUSED'));
    socket.on('connect', () => socket.destroy());
  }), `port ${port} is free`, ms);
}

/** Writes bytes over one TCP connection, as they are, and resolves to all the server said once it hung up. */
export function talk(port, ...writes) {
  return within(new Promise((done, fail) => {
    const chunks = [];
    const socket = tcpConnect(port, '127.0.0.1', () => { for (const bytes of writes) socket.write(bytes); });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => done(Buffer.concat(chunks)));
    socket.on('error', (error) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? undefined : fail(error)));
  }), 'the server hangs up');
}

/** The request that makes a TCP connection a WebSocket at the Socket.IO endpoint. */
export function webSocketRequest(port) {
  return [
    `GET ${ENDPOINT}&transport=websocket HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', '',
  ].join('\r\n');
}

/** One masked WebSocket text frame, as a client sends it. */
export function textFrame(text) {
  const payload = Buffer.from(text);
  const mask = Buffer.from([1, 2, 3, 4]);
  const head = payload.length < 126
    ? Buffer.from([0x81, 0x80 | payload.length])
    : Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at % 4])]);
}
