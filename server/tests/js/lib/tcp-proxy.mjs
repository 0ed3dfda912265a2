//! A way to a server that can go bad: far, narrow, black, reset, half closed, cut, or leading to somebody else in part.

import { connect, createServer } from 'node:net';

const HERE = '127.0.0.1';
/** A half may be closed while the other goes on; what breaks is the other side's to notice. */
const HALVES = { allowHalfOpen: true };

/** One connection: `inner` to who came, `outer` to the server. */
class Lane {
  constructor(proxy, inner) {
    Object.assign(this, { proxy, inner, dead: proxy.black });
    proxy.lanes.add(this);
    this.outer = this.lead(proxy.port);
    this.carry(inner, (chunk) => this.towards(chunk));
  }

  /** A connection onwards, whose answers go back. */
  lead(port) {
    const outer = connect({ port, host: HERE, ...HALVES });
    this.carry(outer, () => this.inner);
    return outer;
  }

  /** Where something that was sent goes, or its end. */
  towards(chunk) {
    const { word, port } = this.proxy.diverted ?? {};
    if (!word || !chunk?.includes(word)) return this.outer;
    this.elsewhere ??= this.lead(port);
    return this.elsewhere;
  }

  /** Hands on what `from` reads, as narrow and as far as the way is now. */
  carry(from, to) {
    from.on('data', (chunk) => {
      const { bytesPerS } = this.proxy;
      if (bytesPerS < Infinity) {
        from.pause();
        setTimeout(() => from.resume(), (chunk.length * 1_000) / bytesPerS);
      }
      this.later(() => {
        const target = to(chunk);
        if (!target.writable || target.write(chunk)) return;
        from.pause();
        target.once('drain', () => from.resume());
      });
    });
    from.on('end', () => this.later(() => to().end()));
    // When one of its sockets breaks, so do the others.
    from.on('error', () => {});
    from.on('close', () => this.unlessDead(() => this.end((socket) => socket.destroy())));
  }

  later(work) {
    const { latencyMs } = this.proxy;
    if (latencyMs > 0) setTimeout(() => this.unlessDead(work), latencyMs);
    else this.unlessDead(work);
  }

  unlessDead(work) {
    if (!this.dead) work();
  }

  end(how) {
    this.proxy.lanes.delete(this);
    for (const socket of [this.inner, this.outer, this.elsewhere]) if (socket && !socket.destroyed) how(socket);
  }
}

/** The way itself. */
class TcpProxy {
  constructor(port) {
    Object.assign(this, { port, lanes: new Set(), latencyMs: 0, bytesPerS: Infinity, black: false, diverted: null });
    this.listener = createServer(HALVES, (inner) => new Lane(this, inner));
  }

  listen(port) {
    return new Promise((done) => this.listener.listen(port, HERE, done));
  }

  /** Everything takes so long to get through, in either direction. Not to be made less while something is under way. */
  latency(ms) {
    this.latencyMs = ms;
  }

  /** So many bytes a second get through in each direction of each connection. */
  bandwidth(bytesPerS) {
    this.bytesPerS = bytesPerS;
  }

  /** Nothing gets through any more, no end either: whoever is connected stays so, and knows nothing. */
  blackhole() {
    this.black = true;
    for (const lane of this.lanes) lane.dead = true;
  }

  /** Who connects from now on gets through; those in the hole stay there. */
  pass() {
    this.black = false;
  }

  /** Every connection is reset, on both sides. */
  reset() {
    for (const lane of this.lanes) lane.end((socket) => socket.resetAndDestroy());
  }

  /** Who is connected is told that the server says no more; what they send still gets there. */
  halfClose() {
    for (const lane of this.lanes) lane.inner.end();
  }

  /** What has `word` in it goes to another port, which answers it. */
  divert(word, port) {
    this.diverted = { word, port };
  }

  /** All of it goes to its own port again. */
  straight() {
    this.diverted = null;
  }

  /** Nobody listens any more, and every connection ends. */
  cut() {
    const closed = new Promise((done) => this.listener.close(done));
    for (const lane of this.lanes) lane.end((socket) => socket.destroy());
    return closed;
  }

  /** It listens again, where it did. */
  mend() {
    return this.listen(this.own);
  }
}

/** Opens a way to a port of this machine; it ends with the test. */
export async function openProxy(t, port) {
  const proxy = new TcpProxy(port);
  await proxy.listen(0);
  proxy.own = proxy.listener.address().port;
  proxy.url = `redis://${HERE}:${proxy.own}/2`;
  t.after(() => (proxy.listener.listening ? proxy.cut() : undefined));
  return proxy;
}
