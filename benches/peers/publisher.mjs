// The publisher inside the JavaScript servers under test: benches/src/peers/protocol.rs says what the events mean.

/** Seconds after its end in which a paced run still publishes what is late: `LATE` in protocol.rs. */
const LATE = 1;

const hex = (number) => number.toString(16).padStart(16, "0");
const text = (number, at, bytes) => `CARILLON${hex(number)}${hex(at)}`.padEnd(bytes, "abcdefghijklmnop");

const NAMESPACES = ["/bench", "/bench2", "/bench3"];
const ROOMS = ["even", "odd"];

/** Who gets message `number` of a run: benches/src/load/shape.rs says the same for all servers. */
function audience(namespaces, ids, run) {
  const everybody = (nth) => () => namespaces[nth];
  const room = (nth) => () => namespaces[0].to(ROOMS[nth]);
  const id = (number) => ids.get(number % run.clients);
  const turns = (all) => (number) => all[number % all.length](number);
  switch (run.shape) {
    case "two-namespaces":
      return turns([everybody(0), everybody(1)]);
    case "rooms":
      return turns([room(0), room(1)]);
    case "except":
      return (number) => (run.clients > 1 ? namespaces[0].except(id(number)) : namespaces[0]);
    case "client":
      return (number) => namespaces[0].to(id(number));
    case "mixed":
      return turns([everybody(0), everybody(1), everybody(2), room(0), everybody(1), room(1)]);
    default:
      return everybody(0);
  }
}

/**
 * Publishes as the load tells it to.
 *
 * `now` is CLOCK_MONOTONIC in nanoseconds, which the load reads too; `burst` is how many messages the server is best off
 * publishing before anything else has its turn; `numberOf` is the number a client gave in its handshake.
 */
export function serve(io, now, burst = 1, numberOf = (socket) => Number(socket.handshake.query.client)) {
  const namespaces = NAMESPACES.map((name) => io.of(name));
  const ids = new Map();
  let seen = 0;
  let resume;
  let notes = 0;

  /** Publishes within the window; everything else has its turn after each burst. */
  function flood(run, done) {
    const end = performance.now() + run.seconds * 1000;
    const to = audience(namespaces, ids, run);
    let messages = 0;
    let patience;
    const step = () => {
      resume = undefined;
      clearTimeout(patience);
      if (performance.now() >= end) return done(messages);
      if (messages < seen + run.window) {
        for (let left = run.burst || burst; left > 0; left--, messages++) {
          to(messages).emit("tick", { text: text(messages, now(), run.bytes) });
        }
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
        namespaces[0].emit("tick", { text: text(messages++, due, run.bytes) });
      }
    };
    step();
  }

  namespaces[0].on("connection", (socket) => {
    const number = numberOf(socket);
    ids.set(number, socket.id);
    socket.join(ROOMS[number % 2]);
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
