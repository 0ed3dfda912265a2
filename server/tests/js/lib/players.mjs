//! A client that plays a script over polling or a WebSocket, and writes down what came of each step.

import { setTimeout as pause } from 'node:timers/promises';
import { ask, SEPARATOR } from './polling.mjs';
import { frame, OPCODE, Peer, text, upgradeRequest } from './websocket.mjs';

/** How long a step waits for what it awaits. */
const PATIENCE_MS = 10_000;

/** What comes of asking whether everything has come: an error, an event without arguments, and its ack. */
const BARRIER = /^(44\/barrier|43\/seen,9\d{5}\[\]$|42\/seen,\["got"\]$)/;

/** A packet as it is compared: ids are random, questions have numbers that only the engine knows, and the data of an error is one engine's own. */
function told(packet) {
  if (Buffer.isBuffer(packet)) return `attachment ${packet.toString('base64')}`;
  if (packet.startsWith('42/seen,')) return packet.replace(/^42\/seen,\d+(?=\["question")/, '42/seen,*');
  if (packet.startsWith('40')) return packet.replace(/"sid":"[^"]+"/, '"sid":"*"');
  return packet.startsWith('44') ? packet.replace(/,"data":\{"code":"\w+","retryable":(true|false)\}/, '') : packet;
}

class Player {
  constructor(port, token) {
    Object.assign(this, { port, token, got: [], ended: false, wakers: [], joined: new Set() });
  }

  query(sid) {
    return `/socket.io/?EIO=4&transport=websocket&token=${this.token}${sid === undefined ? '' : `&sid=${sid}`}`;
  }

  changed() {
    for (const wake of this.wakers.splice(0)) wake();
  }

  end() {
    this.ended = true;
    this.changed();
  }

  /** A packet has come; an attachment is a Buffer. */
  take(packet) {
    if (packet === '2') this.send('3');
    else if (packet === '1' || packet === '6' || packet === '') return;
    else {
      this.got.push(packet);
      // What the server asks is answered with what it asked.
      const asked = /^42\/seen,(\d+)\["question",(.*)\]$/.exec(packet);
      if (asked) this.send(`43/seen,${asked[1]}[${asked[2]}]`);
    }
    this.changed();
  }

  async until(condition) {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition() && !this.ended) {
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await new Promise((done) => {
        const timer = setTimeout(done, left);
        this.wakers.push(() => { clearTimeout(timer); done(); });
      });
    }
    return true;
  }

  async websocket(sid) {
    const peer = new Peer(this.port);
    peer.write(upgradeRequest(this.port, { path: this.query(sid) }));
    let at = 0;
    const look = () => {
      for (; at < peer.frames.length; at += 1) {
        const { opcode, data } = peer.frames[at];
        if (this.peer === peer && opcode <= OPCODE.binary) this.take(opcode === OPCODE.binary ? data : data.toString());
      }
      if (peer.ended && this.peer === peer) this.end();
    };
    if (sid === undefined) this.peer = peer;
    for (const event of ['data', 'end', 'close']) peer.socket.on(event, look);
    return peer;
  }

  async open(transport) {
    if (transport === 'websocket') {
      await this.websocket();
      await this.until(() => this.got.some((packet) => packet[0] === '0'));
      this.got = [];
      return;
    }
    const { body } = await ask(this.port, { query: { EIO: 4, transport: 'polling', token: this.token } });
    this.sid = JSON.parse(body.slice(1).split(SEPARATOR)[0]).sid;
    this.polling = this.polls();
  }

  async polls() {
    while (!this.ended && !this.moving) {
      const poll = ask(this.port, { query: { EIO: 4, transport: 'polling', sid: this.sid } });
      this.poll = poll;
      const { status, body } = await poll.catch(() => ({}));
      if (status !== 200) return this.moving && status === undefined ? undefined : this.end();
      for (const packet of body.split(SEPARATOR)) this.take(packet[0] === 'b' ? Buffer.from(packet.slice(1), 'base64') : packet);
      if (body === '' || body === '1' || body === '6') await pause(5);
    }
    return undefined;
  }

  /** One after the other: over polling two POSTs at once are a mistake. */
  send(...all) {
    this.sending = (this.sending ?? Promise.resolve()).then(() => this.sends(...all));
    return this.sending;
  }

  async sends(...all) {
    if (this.ended) return undefined;
    if (this.peer) return this.peer.write(Buffer.concat(all.map((one) => (Buffer.isBuffer(one) ? frame(OPCODE.binary, one) : text(one)))));
    const status = await this.post(all.map((one) => (Buffer.isBuffer(one) ? `b${one.toString('base64')}` : one)).join(SEPARATOR));
    return status === 200 ? undefined : this.end();
  }

  async post(body) {
    const { status } = await ask(this.port, { method: 'POST', query: { EIO: 4, transport: 'polling', sid: this.sid }, body }).catch(() => ({}));
    return status;
  }

  /** Moves to a WebSocket as a stock client does. */
  async moves() {
    if (this.peer) return;
    const peer = await this.websocket(this.sid);
    const probed = async () => {
      peer.write(text('2probe'));
      await peer.until(() => peer.frames.some(({ data }) => data.toString() === '3probe'), 'the answer to the probe');
    };
    await probed().catch(() => this.end());
    if (this.ended) return;
    this.moving = true;
    await this.polling;
    if (this.ended) return;
    this.peer = peer;
    peer.write(text('5'));
  }

  /** What came of one step, sessions' ids left out. */
  async step({ name, sends, wrong }, number) {
    const from = this.got.length;
    // The last step: how soon the other side notices is seen by plugins.
    if (name === 'it hangs up' && this.peer) return this.peer.destroy() ?? [];
    if (name === 'it hangs up' || name === 'it closes') return await this.send('1') ?? [];
    if (!await this.plays(name, sends, from, wrong ? [`${number}`, `${number}b`] : [`${number}`])) return ['silence'];
    const said = this.got.slice(from).filter((packet) => Buffer.isBuffer(packet) || !BARRIER.test(packet));
    return [...said.map(told), ...(this.ended ? ['end'] : [])];
  }

  /** Sends what the step sends, and waits until everything that comes of it has come; whether it has. */
  async plays(name, sends, from, rounds) {
    const has = (pattern) => () => this.got.slice(from).some((packet) => !Buffer.isBuffer(packet) && pattern.test(packet));
    if (name === 'move to a websocket') await this.moves();
    else await this.send(...sends);
    // A namespace takes a while to decide, and answers then.
    const asked = /^40(\/(?:seen|tiny|proto)),/.exec(sends[0])?.[1];
    if (asked !== undefined && !this.joined.has(asked) && !await this.until(has(new RegExp(`^4[04]${asked},`)))) return false;
    if (asked !== undefined && has(new RegExp(`^40${asked},`))()) this.joined.add(asked);
    const left = /^41(\/\w+),/.exec(sends[0])?.[1];
    this.joined.delete(left);
    // Who was sent something wrong may take a moment to hang up: what comes of the first question is on its way then.
    for (const round of rounds) {
      if (this.ended) return true;
      // Asking for a namespace that is not there is always answered.
      await this.send(`40/barrier${round},`);
      if (!await this.until(has(new RegExp(`^44/barrier${round},`)))) return false;
    }
    if (!this.joined.has('/seen') || this.ended) return true;
    // An event is answered after all before it.
    const id = 900_000 + Number.parseInt(rounds[0], 10);
    await this.send(`42/seen,${id}["barrier"]`);
    return this.until(has(new RegExp(`^43/seen,${id}\\[`)));
  }

  destroy() {
    this.ended = true;
    this.moving = true;
    this.poll?.cancel();
    this.peer?.destroy();
    this.changed();
  }
}

/** Plays a script under a token; what came of each step. */
export async function play(port, token, { transport, steps }) {
  const player = new Player(port, token);
  await player.open(transport);
  const outcomes = [];
  for (const [number, step] of steps.entries()) {
    outcomes.push(await player.step(step, number));
    if (player.ended) break;
  }
  // A polling session whose client says nothing more is missed only when its heartbeat is.
  if (!player.peer) await player.post('1');
  player.destroy();
  return outcomes;
}
