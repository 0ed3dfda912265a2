//! A steady stream of publishes into a namespace that is kept, while something happens to the Redis that keeps it.

import assert from 'node:assert/strict';
import { told } from './outage.mjs';
import { start } from './server.mjs';
import { shouts } from './stream.mjs';
import { until } from './wait.mjs';

/** Publishes wait for as long as a failover takes. */
const CONFIG = `[journal]
namespaces = ["/proto"]
recovery = ["/proto"]
history = ["/proto"]
max_events = 1000000
max_bytes = 1073741824
hold_ms = 20000
[plugins.router]
enabled = false
`;

/** Two Carillons on `url`, publishes at the first, and a stock client of each that comes back by itself. */
export class KeptStream {
  static async start(t, url) {
    const stream = new KeptStream();
    stream.nodes = await Promise.all([1, 2].map(() => start(t, { program: 'fixture', args: ['--bus', url], config: CONFIG })));
    for (const node of stream.nodes) await told(node, { up: true, status: 'ready' });
    stream.clients = await Promise.all(stream.nodes.map((node) => KeptStream.client(node)));
    // It takes no offsets, and so it stays when others have to be told something.
    stream.speaker = await stream.nodes[0].connect('/proto', { transports: ['websocket'], auth: { recovery: false } });
    shouts(t, stream);
    await stream.flows();
    return stream;
  }

  /** A client that comes back by itself, and can: from when its node has reached the journal. */
  static async client(node) {
    let socket;
    await until(async () => {
      socket?.close();
      socket = node.client('/proto', { transports: ['websocket'], reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 300 });
      await socket.opened();
      return socket._pid;
    }, 'a client gets something to come back with');
    socket.returns = [];
    // What it had heard when it was told whether it has recovered.
    socket.on('connect', () => socket.returns.push({ recovered: socket.recovered, heard: numbers(socket).length }));
    return socket;
  }

  /** Resolves once something published after now has come to both, with a place in the journal. */
  async flows() {
    const from = this.sent;
    const last = (socket) => socket.all('shouted').at(-1) ?? [];
    await until(() => this.clients.every((socket) => Number(last(socket)[0]?.text) >= from && typeof last(socket)[1] === 'string'),
      () => `publishes flow; the last were ${JSON.stringify(this.clients.map(last))}, ${from} were sent`, 30_000);
  }

  /** The numbers of all that is in the journal behind what came first to a client. */
  async kept() {
    const [[{ text }, offset]] = this.clients[0].all('shouted');
    const kept = [Number(text)];
    for (let since = offset, more = true; more;) {
      const page = await (await this.nodes[1].fetch(`/api/history/proto?limit=1000&since=${since}`)).json();
      kept.push(...page.events.map(({ args: [said] }) => Number(said.text)));
      ({ offset: since, more } = page);
    }
    return kept;
  }

  /**
   * Ends the stream. Everything is in the journal, once and in order, but what was counted: forgotten by a server that has taken
   * over, or lost in an answer that never came. What a client has not got live it got when it came back, or it was told.
   */
  async judged() {
    this.stop();
    const end = this.sent;
    this.sent += 1;
    assert.equal((await this.speaker.call('shout', { text: `${end}` }))[0].ok, true);
    await until(() => this.clients.every((socket) => numbers(socket).at(-1) === end), () => `the last publish, ${end}, is heard; ${this.clients.map((socket) => numbers(socket).at(-1))} were`, 30_000);
    const metrics = await Promise.all(this.nodes.map((node) => node.metrics()));
    const count = (result) => metrics[0].sum('carillon_journal_publishes_total', { result });
    const forgotten = metrics[0].sum('carillon_journal_forgotten_total');
    const kept = await this.kept();
    inOrder(kept);
    const missing = end + 1 - kept[0] - kept.length;
    assert.equal(count('apart'), 0, 'nothing went on without the journal');
    assert.equal(count('appended') + count('lost'), this.sent, 'what became of each is known, or that it is not');
    // What was lost may be there all the same.
    assert.ok(missing >= forgotten && missing <= forgotten + count('lost'), `${missing} are missing; ${forgotten} were forgotten, ${count('lost')} lost`);
    const told = this.clients.map((socket) => {
      const all = numbers(socket);
      inOrder(all);
      const anew = socket.returns.filter(({ recovered }) => !recovered).map(({ heard }) => heard);
      for (let at = 1; at < all.length; at += 1) {
        assert.ok(all[at] === all[at - 1] + 1 || anew.includes(at), `${all[at]} came after ${all[at - 1]}, and it was told nothing: ${JSON.stringify(socket.returns)}`);
      }
      return anew.length;
    });
    if (missing === 0 && count('lost') === 0) assert.deepEqual(told, [0, 0], 'nobody is told anything where nothing is missing');
    return `${this.sent} publishes: ${missing} not in the journal, ${forgotten} of them forgotten by who took over; ${count('lost')} without an answer; clients were told ${told} times that they may have missed something`;
  }
}

function numbers(socket) {
  return socket.all('shouted').map(([{ text }]) => Number(text));
}

function inOrder(all) {
  for (let at = 1; at < all.length; at += 1) assert.ok(all[at] > all[at - 1], `${all[at]} came after ${all[at - 1]}`);
}
