//! A program: `flood.mjs PORT CHANNEL COUNT PER_SECOND` publishes `{"n":0}`, `{"n":1}`.. to Redis at a steady pace, then
//! prints `{ seconds, receivers }`: how long it took, and the smallest number of receivers Redis told.

import { connect } from 'node:net';
import { command } from './resp.mjs';

const [port, channel, count, perSecond] = process.argv.slice(2).map((word) => (/^\d+$/.test(word) ? Number(word) : word));

let sent = 0;
let answered = 0;
let receivers = Infinity;
let rest = '';

const socket = connect(port, '127.0.0.1', () => {
  socket.setNoDelay();
  const begin = performance.now();
  // As many as are due by now: a machine that was busy for a moment does not make the pace slower.
  const timer = setInterval(() => {
    const due = Math.min(count, Math.ceil(((performance.now() - begin) * perSecond) / 1000));
    let burst = '';
    for (; sent < due; sent += 1) burst += command('PUBLISH', channel, `{"n":${sent}}`);
    if (burst !== '') socket.write(burst);
    if (sent === count) clearInterval(timer);
  }, 5);
  socket.on('data', (chunk) => {
    const lines = (rest + chunk).split('\r\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith(':')) throw new Error(`Redis says ${line}`);
      receivers = Math.min(receivers, Number(line.slice(1)));
      answered += 1;
    }
    if (answered === count) {
      console.log(JSON.stringify({ seconds: (performance.now() - begin) / 1000, receivers }));
      socket.end();
    }
  });
});
