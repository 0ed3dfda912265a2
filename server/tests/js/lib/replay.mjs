//! Plays a recorded scene against a server, and compares what it does with what was recorded.

import assert from 'node:assert/strict';
import { openClient } from './client.mjs';
import { expected, masked } from './differences.mjs';
import { until, within } from './wait.mjs';

/** Sent on every channel when a scene is over: what came before it is all that came. */
const END = '"the end of the scene"';
const CHANNELS = ['cluster:metrics', 'cluster:health', 'cluster:alerts', 'celery:metrics'];

/** A scene on its stage: stock clients in its namespaces, all on one connection. */
export class Replay {
  constructor(scene, server, redis) {
    this.scene = scene;
    this.server = server;
    this.redis = redis;
    /** What came since it was last looked at. */
    this.received = [];
    this.sockets = new Map();
    /** The bodies of HTTP answers, by path. */
    this.bodies = new Map();
  }

  /** Plays the scene to its end. */
  async play() {
    const { steps } = this.scene;
    const spoken = [...new Set(steps.filter((step) => step.namespace && step.connect_error === undefined).map((step) => step.namespace))];
    // The clients connected one after the other.
    for (const namespace of spoken) await this.connect(namespace);
    for (const { actions, results } of instants(steps)) {
      for (const action of actions) await this.act(action);
      for (const { namespace, connect_error: refused } of results) if (refused !== undefined) this.tryToConnect(namespace);
      await this.compare([...actions.filter(({ from }) => from === 'http'), ...results]);
    }
    await this.end(spoken);
  }

  async connect(namespace) {
    const socket = this.open(namespace);
    await within(new Promise((done, fail) => {
      socket.once('connect', done);
      socket.once('connect_error', fail);
    }), `a client connects to ${namespace}`);
  }

  tryToConnect(namespace) {
    const socket = this.open(namespace);
    socket.once('connect_error', ({ message }) => this.received.push({ from: 'server', namespace, connect_error: message }));
  }

  open(namespace) {
    const [first] = this.sockets.values();
    const socket = first?.io.socket(namespace) ?? openClient(this.server.url + namespace, { transports: ['websocket'] });
    if (!first) this.server.closers.push(() => socket.io._close());
    this.sockets.set(namespace, socket);
    socket.onAny((event, ...args) => this.received.push({ from: 'server', namespace, event, args }));
    return socket.connect();
  }

  /** Does what the client, a publisher or somebody over HTTP did. */
  async act({ from, namespace, event, args, ack, publish, text, get }) {
    if (from === 'redis') {
      await this.redis.cli('PUBLISH', publish, text);
    } else if (from === 'http') {
      const response = await this.server.fetch(get);
      const type = response.headers.get('content-type');
      const body = type.startsWith('application/json') ? await response.json() : '<page>';
      this.bodies.set(get, body);
      this.received.push({ from, get, status: response.status, type, body });
    } else {
      const answer = (...values) => this.received.push({ from: 'server', namespace, ack_of: event, args: values, timed_out: false });
      this.sockets.get(namespace).emit(event, ...args, ...(ack ? [answer] : []));
    }
  }

  /** Waits for as many steps as there have to be, and compares: in one namespace they keep their order. */
  async compare(recorded) {
    const wanted = this.wanted(recorded);
    await until(() => this.received.length >= wanted.length, '').catch(() => {});
    const theirs = masked(byPlace(wanted), 'theirs');
    const ours = masked(byPlace(this.received), 'ours');
    assert.deepEqual(ours, theirs);
    this.received = [];
  }

  wanted(recorded) {
    const wanted = [];
    for (const step of recorded) {
      const response = wanted.findLast(({ namespace, event }) => namespace === step.namespace && event !== undefined);
      wanted.push(...expected(step, { scene: this.scene, response, body: (path) => this.bodies.get(path) }));
    }
    return wanted;
  }

  /** Nothing else came: neither from Redis nor from the namespaces. */
  async end(namespaces) {
    for (const channel of CHANNELS) await this.redis.cli('PUBLISH', channel, END);
    const heard = { '/': 4, '/health': 1, '/monitoring': 2 };
    const marks = namespaces.reduce((all, namespace) => all + heard[namespace], 0);
    const isMark = ({ args }) => args?.[0] === JSON.parse(END);
    await until(() => this.received.filter(isMark).length === marks, 'the end of the scene arrives');
    // A call is answered after whatever was sent before.
    await Promise.all(namespaces.map((namespace) => this.sockets.get(namespace).timeout(5_000).emitWithAck('no_such_event')));
    assert.deepEqual(this.received.filter((step) => !isMark(step)), [], 'nothing came that was not recorded');
  }
}

/** Actions that follow each other belong together, with all that came of them. */
function instants(steps) {
  const all = [{ actions: [], results: [] }];
  for (const step of steps) {
    if (step.from === 'server') {
      all.at(-1).results.push(step);
    } else {
      if (all.at(-1).results.length > 0 || step.from === 'http') all.push({ actions: [], results: [] });
      all.at(-1).actions.push(step);
    }
  }
  return all;
}

/** Steps by where they came from, in their order. */
function byPlace(steps) {
  const places = {};
  for (const step of steps) (places[step.namespace ?? step.from] ??= []).push(step);
  return places;
}
