// The publisher inside the JavaScript servers under test: benches/src/peers/protocol.rs says what the events mean.

/** Seconds after its end in which a paced run still publishes what is late: `LATE` in protocol.rs. */
const LATE = 1;

const hex = (number) => number.toString(16).padStart(16, "0");
const text = (number, at, bytes) => `CARILLON${hex(number)}${hex(at)}`.padEnd(bytes, "abcdefghijklmnop");

/**
 * Publishes in a namespace as the load tells it to.
 *
 * `now` is CLOCK_MONOTONIC in nanoseconds, which the load reads too; `burst` is how many messages the server is best off
 * publishing before anything else has its turn.
 */
export function serve(bench, now, burst = 1) {
  let seen = 0;
  let resume;
  let notes = 0;

  /** Publishes within the window; everything else has its turn after each burst. */
  function flood(run, done) {
    const end = performance.now() + run.seconds * 1000;
    let messages = 0;
    let patience;
    const step = () => {
      resume = undefined;
      clearTimeout(patience);
      if (performance.now() >= end) return done(messages);
      if (messages < seen + run.window) {
        for (let left = run.burst || burst; left > 0; left--) bench.emit("tick", { text: text(messages++, now(), run.bytes) });
        setImmediate(step);
      } else {
        resume = step;
        patience = setTimeout(step, end - performance.now());
      }
    };
    step();
  }

  /** Publishes by the timetable, late messages at once; what is too late is never published. */
  function paced(run, done) {
    const total = Math.round(run.seconds * run.rate);
    const origin = now();
    const limit = origin + BigInt(Math.floor((run.seconds + LATE) * 1e9));
    let messages = 0;
    const step = () => {
      for (;;) {
        if (messages === total || now() > limit) return done(messages);
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
    socket.on("note", () => {
      notes += 1;
    });
    socket.on("noted", (_, ack) => {
      ack(notes);
      notes = 0;
    });
    socket.on("echo", (value, ack) => ack(value));
  });
}
