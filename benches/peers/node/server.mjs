// Node's own Socket.IO as the load tool drives it: see benches/src/peers/protocol.rs for what the events mean.
// Set up as https://socket.io/docs/v4/performance-tuning/ and /memory-usage/ advise: WebSocket only, bufferutil, no
// compression, the first request of each connection let go.

import { createServer } from "node:http";
import { Server } from "socket.io";

const [port, pingInterval, pingTimeout] = process.argv.slice(2).map(Number);
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval,
  pingTimeout,
});
io.engine.on("connection", (socket) => {
  socket.request = null;
});

const bench = io.of("/bench");
let seen = 0;
let resume;

const hex = (number) => number.toString(16).padStart(16, "0");
const text = (number, at, bytes) => `CARILLON${hex(number)}${hex(at)}`.padEnd(bytes, "abcdefghijklmnop");
const now = () => process.hrtime.bigint();

/** Publishes within the window; everything else has its turn after each message. */
function flood(run, done) {
  const end = performance.now() + run.seconds * 1000;
  let messages = 0;
  let patience;
  const step = () => {
    resume = undefined;
    clearTimeout(patience);
    if (performance.now() >= end) return done(messages);
    if (messages < seen + run.window) {
      for (let left = run.burst || 1; left > 0; left--) bench.emit("tick", { text: text(messages++, now(), run.bytes) });
      setImmediate(step);
    } else {
      resume = step;
      patience = setTimeout(step, end - performance.now());
    }
  };
  step();
}

/** Publishes by the timetable, late messages at once. */
function paced(run, done) {
  const total = Math.round(run.seconds * run.rate);
  const origin = now();
  let messages = 0;
  const step = () => {
    for (;;) {
      if (messages === total) return done(messages);
      const due = origin + BigInt(Math.floor((messages / run.rate) * 1e9));
      const left = Number(due - now()) / 1e6;
      if (left > 0) return setTimeout(step, left);
      bench.emit("tick", { text: text(messages++, due, run.bytes) });
    }
  };
  step();
}

bench.on("connection", (socket) => {
  socket.on("run", (run) => {
    seen = 0;
    (run.mode === "flood" ? flood : paced)(run, (messages) => socket.emit("done", { messages }));
  });
  socket.on("seen", (count) => {
    seen = count;
    resume?.();
  });
  socket.on("echo", (value, ack) => ack(value));
});

// The load holds our standard input open: when it ends, so do we.
process.stdin.resume().on("end", () => process.exit());
http.listen(port, "127.0.0.1", 4096);
