//! WebSocket clients that cost next to nothing: what is due is known to the byte, so they compare instead of parsing.

import { connect } from 'node:net';
import { textFrame, webSocketRequest } from './raw.mjs';
import { within } from './wait.mjs';

const PING = Buffer.from([0x81, 1, '2'.charCodeAt(0)]);

/** The WebSocket text frames with these texts, as a server sends them. */
export function frames(texts) {
  return Buffer.concat(texts.map((text) => {
    const length = Buffer.byteLength(text);
    const head = length < 126 ? [0x81, length] : [0x81, 126, length >> 8, length & 0xff];
    return Buffer.concat([Buffer.from(head), Buffer.from(text)]);
  }));
}

/** A client of `/` that was greeted, and from then on has to be sent exactly `due`, and pings, which it answers. */
export async function openReader(t, port, due) {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const reader = { at: 0 };
  let head = Buffer.alloc(0);
  let greeted;
  const greeting = new Promise((done) => { greeted = done; });
  reader.done = new Promise((done, fail) => {
    socket.on('error', fail);
    socket.on('close', () => fail(new Error(`closed after ${reader.at} of ${due.length} bytes`)));
    let rest = Buffer.alloc(0);
    const compare = (more) => {
      let chunk = rest.length > 0 ? Buffer.concat([rest, more]) : more;
      rest = chunk.subarray(0, 0);
      while (chunk.length > 0) {
        const end = Math.min(reader.at + chunk.length, due.length);
        if (end - reader.at === chunk.length && chunk.compare(due, reader.at, end) === 0) {
          reader.at = end;
          break;
        }
        let same = 0;
        while (same < chunk.length && chunk[same] === due[reader.at + same]) same += 1;
        const from = reader.at + same;
        // A ping, between two frames: both begin with the same byte.
        if (due[from - 1] !== PING[0] || chunk[same] !== PING[1]) {
          return fail(new Error(`byte ${from}: ${chunk.toString('latin1', same, same + 60)} where ${due.toString('latin1', from, from + 60)} is due`));
        }
        reader.at = from;
        if (chunk.length < same + 2) {
          rest = chunk.subarray(same);
          return undefined;
        }
        socket.write(textFrame('3'));
        reader.at -= 1;
        chunk = chunk.subarray(same + 2);
      }
      return reader.at === due.length ? done() : undefined;
    };
    socket.on('data', (chunk) => {
      if (head === null) return compare(chunk);
      head = Buffer.concat([head, chunk]);
      const end = endOfGreeting(head);
      if (end === -1) return undefined;
      if (head.includes(PING)) socket.write(textFrame('3'));
      const first = head.subarray(end);
      head = null;
      greeted();
      return first.length > 0 ? compare(first) : undefined;
    });
  });
  // Whoever waits for it hears of it.
  reader.done.catch(() => {});
  socket.write(webSocketRequest(port));
  socket.write(textFrame('40'));
  await within(Promise.race([greeting, reader.done]), 'a reader is greeted');
  return reader;
}

/** Where the frame of the greeting ends; -1 while it has not come. It is short, and so are those before it. */
function endOfGreeting(bytes) {
  const start = bytes.indexOf('42["connection_confirmed"');
  if (start === -1) return -1;
  const small = bytes[start - 2] === 0x81;
  const length = small ? bytes[start - 1] : bytes.readUInt16BE(start - 2);
  return start + length <= bytes.length ? start + length : -1;
}
