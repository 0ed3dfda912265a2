"""python-socketio on uvicorn as the load tool drives it: benches/src/peers/protocol.rs says what the events mean.

Set up as https://python-socketio.readthedocs.io/en/stable/server.html and https://www.uvicorn.org/settings/ advise for
speed: uvloop and httptools, no compression, no access log. Engine.IO pings, so uvicorn need not.
"""

import asyncio
import sys
import time

import socketio
import uvicorn

# Seconds after its end in which a paced run still publishes what is late: `LATE` in protocol.rs.
LATE = 1.0
FILL = "abcdefghijklmnop"

host, port, ping_interval_ms, ping_timeout_ms = sys.argv[1], *map(int, sys.argv[2:5])

sio = socketio.AsyncServer(
    async_mode="asgi",
    http_compression=False,
    cors_allowed_origins=[],
    ping_interval=ping_interval_ms / 1000,
    ping_timeout=ping_timeout_ms / 1000,
)
seen = 0
notes = 0
more = asyncio.Event()


async def publish(number, at, size):
    mark = f"CARILLON{number:016x}{at:016x}"
    text = mark + (FILL * (size // len(FILL) + 1))[: max(0, size - len(mark))]
    await sio.emit("tick", {"text": text}, namespace="/bench")


async def flood(run):
    """Publishes within the window; everything else has its turn after each message."""
    end = time.monotonic() + run["seconds"]
    messages = 0
    while (left := end - time.monotonic()) > 0:
        if messages < seen + run["window"]:
            for _ in range(run["burst"] or 1):
                await publish(messages, time.monotonic_ns(), run["bytes"])
                messages += 1
            await asyncio.sleep(0)
        else:
            more.clear()
            try:
                await asyncio.wait_for(more.wait(), left)
            except asyncio.TimeoutError:
                break
    return messages


async def paced(run):
    """Publishes by the timetable, late messages at once; what is too late is never published."""
    total, origin = round(run["seconds"] * run["rate"]), time.monotonic_ns()
    limit = origin + int((run["seconds"] + LATE) * 1e9)
    for number in range(total):
        due = origin + int(number / run["rate"] * 1e9)
        now = time.monotonic_ns()
        if now > limit:
            return number
        if due > now:
            await asyncio.sleep((due - now) / 1e9)
        await publish(number, due, run["bytes"])
    return total


async def drive(sid, run):
    messages = await (flood if run["mode"] == "flood" else paced)(run)
    await sio.emit("done", {"messages": messages}, to=sid, namespace="/bench")


@sio.on("run", namespace="/bench")
async def on_run(sid, run):
    global seen
    seen = 0
    sio.start_background_task(drive, sid, run)


@sio.on("seen", namespace="/bench")
async def on_seen(sid, count):
    global seen
    seen = count
    more.set()


@sio.on("echo", namespace="/bench")
async def on_echo(sid, value):
    return value


@sio.on("note", namespace="/bench")
async def on_note(sid, value):
    global notes
    notes += 1


@sio.on("noted", namespace="/bench")
async def on_noted(sid, value):
    global notes
    counted, notes = notes, 0
    return counted


@sio.on("connect", namespace="/bench")
async def on_connect(sid, environ):
    pass


uvicorn.run(
    socketio.ASGIApp(sio),
    host=host,
    port=port,
    loop="uvloop",
    http="httptools",
    # Found by trial: a tenth faster than `websockets`, as fast as `websockets-sansio`.
    ws="wsproto",
    ws_per_message_deflate=False,
    ws_ping_interval=None,
    ws_ping_timeout=None,
    lifespan="off",
    access_log=False,
    log_level="warning",
    backlog=4096,
    timeout_graceful_shutdown=1,
)
