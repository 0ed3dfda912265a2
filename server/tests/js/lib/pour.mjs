//! Sends as fast as a socket takes it, and reads nothing.

import { openPeer } from './websocket.mjs';

/** The TCP connection of a WebSocket that joined a namespace, or none, and from then on never reads. */
export async function openDeaf(t, port, { namespace = null, localAddress } = {}) {
  const { socket } = await openPeer(port, { namespace, localAddress });
  socket.pause();
  t.after(() => socket.destroy());
  return socket;
}

/** A socket that takes nothing for so long is not being read. */
const STALLED_MS = 2_000;

/**
 * Writes these octets again and again for so long, and for longer when fewer than `least` octets have been taken (on a
 * busy machine); or until the socket ends or nobody reads it. Resolves to how many were taken.
 */
export function pour(socket, octets, ms, least = 0) {
  const until = performance.now() + ms;
  let taken = 0;
  return new Promise((done) => {
    let stalled;
    const end = () => {
      clearTimeout(stalled);
      socket.off('close', end);
      done(taken);
    };
    socket.once('close', end);
    const more = () => {
      clearTimeout(stalled);
      if (socket.destroyed || (performance.now() > until && taken >= least)) return end();
      taken += octets.length;
      if (socket.write(octets)) return setImmediate(more);
      stalled = setTimeout(() => { socket.off('drain', more); end(); }, Math.max(STALLED_MS, until - performance.now()));
      return socket.once('drain', more);
    };
    more();
  });
}

/** As many copies of a few octets as make a chunk worth a write. */
export const many = (octets, size = 65_536) => Buffer.concat(Array(Math.ceil(size / octets.length)).fill(octets));
