// Socket.IO on Bun's own engine as the load tool drives it. Set up as the README of @socket.io/bun-engine advises: its
// handler in Bun.serve, which compresses nothing unless told to.

import { dlopen, ptr } from "bun:ffi";
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { serve } from "../publisher.mjs";

const [port, pingInterval, pingTimeout] = process.argv.slice(2).map(Number);

// Bun's clocks begin with the process, and the load reads the machine's: how far they are apart is asked once.
const CLOCK_MONOTONIC = 1;
const libc = dlopen("libc.so.6", { clock_gettime: { args: ["int", "ptr"], returns: "int" } });
const time = new BigInt64Array(2);
libc.symbols.clock_gettime(CLOCK_MONOTONIC, ptr(time));
const apart = time[0] * 1_000_000_000n + time[1] - process.hrtime.bigint();

const io = new Server();
const engine = new Engine({ path: "/socket.io/", pingInterval, pingTimeout });
io.bind(engine);
serve(io, () => process.hrtime.bigint() + apart);

Bun.serve({ hostname: "127.0.0.1", port, ...engine.handler() });
