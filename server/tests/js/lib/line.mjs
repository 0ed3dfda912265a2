//! A client made by hand that speaks Engine.IO packets, the same way over polling, over WebSocket and after an upgrade.

import { frame, OPCODE, text, upgradeRequest } from './websocket.mjs';

const namespaced = (namespace) => (namespace === '/' ? '40' : `40${namespace},`);

/** Over a WebSocket: each packet is a message. */
class SocketLine {
  constructor(peer, open) {
    Object.assign(this, { peer, open });
  }

  async send(...packets) {
    this.peer.write(Buffer.concat(packets.map((packet) => (Buffer.isBuffer(packet) ? frame(OPCODE.binary, packet) : text(packet)))));
  }

  packet(prefix, ms) {
    return this.peer.text(prefix, ms);
  }

  /** So many packets that start so. */
  async all(prefix, count) {
    const all = () => this.said().filter((packet) => packet.startsWith(prefix));
    await this.peer.until(() => all().length >= count, `${count} packets ${prefix}…`);
    return all();
  }

  /** So many attachments, in the order of their coming. */
  async attachments(count) {
    const all = () => this.peer.frames.filter(({ opcode }) => opcode === OPCODE.binary);
    await this.peer.until(() => all().length >= count, `${count} attachments`);
    return all().map(({ data }) => data);
  }

  /** Packets so far. */
  said() {
    return this.peer.texts();
  }

  /** The server ends it; before that it may say what must then be in `said`. */
  async ends(ms) {
    await this.peer.until(() => this.peer.ended, 'the server ends the connection', ms);
  }
}

/** Over polling: each `send` is a POST. */
class PollingLine {
  constructor(session) {
    Object.assign(this, { session, open: session.open });
  }

  /** What becomes of it is seen by what follows. */
  async send(...packets) {
    await this.session.post(...packets.map((packet) => (Buffer.isBuffer(packet) ? `b${packet.toString('base64')}` : packet)));
  }

  packet(prefix, ms) {
    return this.session.packet(prefix, ms);
  }

  async all(prefix, count) {
    const all = () => this.said().filter((packet) => packet.startsWith(prefix));
    while (all().length < count) await this.session.more();
    return all();
  }

  async attachments(count) {
    return (await this.all('b', count)).map((packet) => Buffer.from(packet.slice(1), 'base64'));
  }

  said() {
    return this.session.got;
  }

  ends(ms) {
    return this.session.gone(ms);
  }
}

/** Moves a polling session to a WebSocket, as a stock client does. */
export async function upgrade(one, session) {
  const peer = one.peer();
  peer.write(upgradeRequest(one.port, { path: `/socket.io/?EIO=4&transport=websocket&sid=${session.sid}` }), text('2probe'));
  await peer.until(() => peer.frames.some(({ data }) => data.toString() === '3probe'), 'the answer to the probe');
  peer.write(text('5'));
  return peer;
}

export const LINES = {
  websocket: async (one) => {
    const peer = await one.open({ namespace: null });
    return new SocketLine(peer, JSON.parse((await peer.text('0{')).slice(1)));
  },
  polling: async (one) => new PollingLine(await one.polling({ namespace: null })),
  upgraded: async (one) => {
    const session = await one.polling({ namespace: null });
    return new SocketLine(await upgrade(one, session), session.open);
  },
};

/** Joins a namespace and resolves to what the CONNECT reply says. */
export async function join(line, namespace = '/proto', auth = '') {
  await line.send(`${namespaced(namespace)}${auth}`);
  return JSON.parse((await line.packet(`${namespaced(namespace)}{`)).slice(namespaced(namespace).length));
}

/** Rows `[name, section, run(line, case)]` on every transport, or on those named. */
export const onEach = (rows, transports = Object.keys(LINES)) => transports.flatMap((transport) => rows.map(([name, section, run]) => [
  `${transport}: ${name}`, section, async (one) => run(await LINES[transport](one), one)]));
