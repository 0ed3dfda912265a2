//! A way to Redis that can be cut: to the server behind it, Redis is away, while others still have it.

import { connect, createServer } from 'node:net';

/** Opens the way; `cut()` and `mend()` resolve when it is closed and open again. */
export async function openGap(t, port) {
  const sockets = new Set();
  const gap = createServer((inner) => {
    const outer = connect(port, '127.0.0.1');
    for (const [one, other] of [[inner, outer], [outer, inner]]) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  const listen = (at) => new Promise((done) => gap.listen(at, '127.0.0.1', done));
  await listen(0);
  const own = gap.address().port;
  const cut = () => new Promise((done) => {
    gap.close(done);
    for (const socket of sockets) socket.destroy();
  });
  t.after(() => (gap.listening ? cut() : undefined));
  return { url: `redis://127.0.0.1:${own}/2`, cut, mend: () => listen(own) };
}
