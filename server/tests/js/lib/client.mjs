//! A stock socket.io-client whose events are recorded from the start, so that no test races with the server.

import { io } from 'socket.io-client';
import { until, within } from './wait.mjs';

/** The ways a stock client can be told to connect. */
export const TRANSPORTS = {
  polling: { transports: ['polling'], upgrade: false },
  websocket: { transports: ['websocket'] },
  upgrade: { transports: ['polling', 'websocket'] },
};

/** Opens a client on a connection of its own unless `options` brings a manager's settings. */
export function openClient(url, options = {}) {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  return record(socket);
}

/** Keeps every event of a socket in `socket.seen`, and adds the helpers below to it. */
export function record(socket) {
  socket.seen = [];
  socket.onAny((event, ...args) => socket.seen.push({ event, args, at: Date.now() }));
  socket.ended = null;
  socket.on('disconnect', (reason, details) => { socket.ended = { reason, details }; });
  socket.opened = () => opened(socket);
  socket.next = (event, options) => next(socket, event, options);
  socket.call = (event, ...args) => call(socket, event, ...args);
  socket.all = (event) => socket.seen.filter((one) => one.event === event).map((one) => one.args);
  return socket;
}

/** Resolves when connected; fails with the server's refusal. */
function opened(socket) {
  if (socket.connected) return Promise.resolve(socket);
  return within(new Promise((done, fail) => {
    socket.once('connect', () => done(socket));
    socket.once('connect_error', fail);
  }), `a client connects to ${socket.nsp}`);
}

/** Resolves to the error of a connection that must be refused. */
export function refused(socket) {
  return within(new Promise((done, fail) => {
    socket.once('connect_error', done);
    socket.once('connect', () => fail(new Error(`${socket.nsp} let a client in that it had to refuse`)));
  }), `${socket.nsp} refuses a client`);
}

/** Resolves to the arguments of the first `event`, past or future, that `where` accepts. */
async function next(socket, event, { where = () => true, ms } = {}) {
  const hit = await until(
    () => socket.seen.find((one) => one.event === event && where(...one.args)),
    () => `${event} on ${socket.nsp}; seen: ${JSON.stringify(socket.seen.map((one) => one.event))}`,
    ms,
  );
  return hit.args;
}

/** Emits with an ack and resolves to all of the ack's arguments. */
function call(socket, event, ...args) {
  return within(
    new Promise((done) => socket.emit(event, ...args, (...answer) => done(answer))),
    () => `the ack of ${event} on ${socket.nsp}${socket.ended ? ` (closed: ${socket.ended.reason})` : ''}`,
  );
}

/** Resolves to `{ reason, details }` of a connection the server ends. */
export function disconnected(socket, ms) {
  return until(() => socket.ended, `${socket.nsp} is disconnected`, ms);
}

/** Resolves once a client that began with polling speaks WebSocket. */
export function upgraded(socket) {
  return until(() => socket.io.engine.transport.name === 'websocket', 'the client upgrades to WebSocket');
}
