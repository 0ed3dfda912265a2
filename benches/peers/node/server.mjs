// Node's own Socket.IO as the load tool drives it. Set up as https://socket.io/docs/v4/performance-tuning/ and
// /memory-usage/ advise: bufferutil, no compression, the first request of each connection let go.

import { createServer } from "node:http";
import { Server } from "socket.io";
import { serve } from "../publisher.mjs";

const [port, pingInterval, pingTimeout] = process.argv.slice(2).map(Number);
const http = createServer();
const io = new Server(http, {
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
  pingInterval,
  pingTimeout,
});
io.engine.on("connection", (socket) => {
  socket.number = Number(socket.request._query.client);
  socket.request = null;
});
// The burst was found by trial: 64 messages at once cost half as much each as one, and more are no cheaper.
serve(io, () => process.hrtime.bigint(), 64, (socket) => socket.conn.number);

// The load holds our standard input open: when it ends, so do we.
process.stdin.resume().on("end", () => process.exit());
http.listen(port, "127.0.0.1", 4096);
