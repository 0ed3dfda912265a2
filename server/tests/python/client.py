"""A python-socketio client, asynchronous: `client.py SCENE URL [TRANSPORTS [ROUNDS]]`.

Every line it prints is one step done, for the test that runs it to go by; what is not as it should be ends it with an
AssertionError. python-client.test.mjs has the scenes in order.
"""

import asyncio
import sys

import socketio

scene, url = sys.argv[1:3]
transports = sys.argv[3].split(",") if len(sys.argv) > 3 else None
rounds = int(sys.argv[4]) if len(sys.argv) > 4 and scene != "tokens" else 1
DEADLINE = 10


def step(*words):
    print(*words, flush=True)


async def until(condition, what):
    """Waits for something to become true."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE} s: {what}") from None


async def connected(namespaces, **options):
    """A client in these namespaces, with every event it is sent: `(namespace, event, arguments)`."""
    client = socketio.AsyncClient(**options)
    seen = []

    def record(namespace):
        async def handler(event, *arguments):
            seen.append((namespace, event, arguments))

        client.on("*", handler, namespace=namespace)

    for namespace in namespaces:
        record(namespace)
    await client.connect(url, transports=transports, namespaces=namespaces, wait_timeout=DEADLINE)
    return client, seen


def names(seen, namespace):
    return [event for of, event, _ in seen if of == namespace]


async def serve(client, seen):
    """Greetings of three namespaces, in order; calls in each; an event without an ack."""
    for namespace, greeting in [("/", "connection_confirmed"), ("/health", "health_connected"), ("/monitoring", "monitoring_connected")]:
        await until(lambda: greeting in names(seen, namespace), f"{greeting} on {namespace}")
        assert names(seen, namespace)[0] == greeting, names(seen, namespace)
    for namespace, event, response in [
        ("/health", "request_health", "health_response"),
        ("/monitoring", "request_nodes_status", "nodes_status_response"),
        ("/monitoring", "request_cluster_status", "cluster_status_response"),
    ]:
        for argument in [{}, None, {"é": "ü \U0001f514"}]:
            answer = await client.call(event, argument, namespace=namespace, timeout=DEADLINE)
            assert answer["ok"] is True and answer["data"]["timestamp"].endswith("Z"), answer
            # The response event comes before the ack.
            assert response in names(seen, namespace), names(seen, namespace)
    answer = await client.call("no_such_event", {}, namespace="/monitoring", timeout=DEADLINE)
    assert answer["error"]["code"] == "unknown_event", answer
    before = names(seen, "/health").count("health_response")
    await client.emit("request_health", namespace="/health")
    await until(lambda: names(seen, "/health").count("health_response") > before, "a response without an ack")
    # Of one poll's answer python-engineio takes 16 packets, and each call is answered by two.
    count = 50 if client.transport() == "websocket" else 7
    many = [client.call("request_health", {}, namespace="/health", timeout=DEADLINE) for _ in range(count)]
    assert all(answer["ok"] for answer in await asyncio.gather(*many))


async def recovery():
    """Beside clients that get offsets: the handlers get exactly their arguments, whatever is published and emitted."""
    client = socketio.AsyncClient(reconnection=False)
    seen = []

    # As they are written: with as many arguments as are sent, and no more.
    async def shouted(what):
        seen.append(("shouted", what))

    async def message_back(*arguments):
        seen.append(("message-back", *arguments))

    client.on("shouted", shouted, namespace="/proto")
    client.on("message-back", message_back, namespace="/proto")
    await client.connect(url, transports=transports, namespaces=["/proto"], wait_timeout=DEADLINE)
    step("there")
    await until(lambda: ("shouted", {"text": "last"}) in seen, "the last shout")
    assert seen == [("shouted", {"text": text}) for text in ["first", "last"]], seen
    seen.clear()
    for arguments in [("text",), ("a", "b"), (1, "text"), ({"a": 1},)]:
        await client.emit("message", arguments, namespace="/proto")
    await until(lambda: len(seen) == 4, "what was sent comes back")
    assert seen == [("message-back", *arguments) for arguments in [("text",), ("a", "b"), (1, "text"), ({"a": 1},)]], seen
    await client.disconnect()
    step("served")


async def three_namespaces():
    client, seen = await connected(["/", "/health", "/monitoring"], reconnection=False)
    if transports == ["websocket"]:
        assert client.transport() == "websocket", client.transport()
    elif transports is None:
        # Told nothing, it begins with polling and upgrades.
        await until(lambda: client.transport() == "websocket", "the upgrade")
    else:
        assert client.transport() == "polling", client.transport()
    step("transport", client.transport())
    await serve(client, seen)
    step("served")
    # Were a POST under way, python-engineio 4.x would leave without a word: its write loop ends with the state it left.
    await client.eio.queue.join()
    await client.disconnect()
    assert not client.connected
    step("gone")


async def acks():
    client, _ = await connected(["/proto", "/rough"], reconnection=False)
    for value in [0, -1.5, "é", [1, [2]], {"a": {"b": None}}, True]:
        answer = await client.call("message-with-ack", value, namespace="/proto", timeout=DEADLINE)
        assert answer == value, (answer, value)
    assert await client.call("message-with-ack", (1, "two", [3]), namespace="/proto", timeout=DEADLINE) == (1, "two", [3])
    answer = await client.call("message-with-ack", b"\x00\xff", namespace="/proto", timeout=DEADLINE)
    assert answer == b"\x00\xff", answer
    step("acks")
    # The server asks, and this client answers.
    client.on("question", lambda what: f"{what}: 42", namespace="/proto")
    assert await client.call("ask", {"what": "why", "timeout_ms": 5000}, namespace="/proto", timeout=DEADLINE) == "why: 42"
    step("asked")
    # A call that takes longer than its client waits, and one after it that does not.
    try:
        await client.call("slow", {"ms": 1500}, namespace="/rough", timeout=0.2)
        raise AssertionError("a slow call was answered at once")
    except socketio.exceptions.TimeoutError:
        step("timeout")
    answer = await client.call("slow", {"ms": 1}, namespace="/rough", timeout=DEADLINE)
    assert answer["ok"] is True, answer
    step("after")
    await client.disconnect()


async def identity():
    client, seen = await connected(["/"], reconnection=False)
    await until(lambda: "connection_confirmed" in names(seen, "/"), "the greeting")
    [greeting] = [arguments[0] for _, event, arguments in seen if event == "connection_confirmed"]
    assert greeting["sid"] == client.get_sid("/"), (greeting, client.get_sid("/"))
    assert greeting["sid"] != client.eio.sid, "the session's id is a secret"
    await client.disconnect()


async def refusal():
    client = socketio.AsyncClient(reconnection=False)
    errors = []
    client.on("connect_error", errors.append, namespace="/second")
    try:
        await client.connect(url, transports=transports, namespaces=["/second"], auth={"token": "guessed"}, wait_timeout=DEADLINE)
        raise AssertionError("/second let a client in")
    except socketio.exceptions.ConnectionError:
        assert errors == [{"message": "the token is wrong", "data": {"code": "forbidden", "retryable": False}}], errors


async def event_names():
    client, _ = await connected(["/proto"], reconnection=False)
    # Python writes each of these with escapes.
    for name in ["sant\u00e9", "\U0001f600", 'say "x"', "a\\b", "a\nb", "\u65e5\u672c"]:
        answer = await client.call(name, 1, namespace="/proto", timeout=2)
        assert answer == {"ok": True, "data": {"event": name, "arguments": 1}}, (answer, name)
    await client.disconnect()


async def burst():
    client, seen = await connected(["/proto"], reconnection=False)
    count = 1000
    answers = []
    for n in range(count):
        await client.emit("message", n, namespace="/proto")
        await client.emit("number", {"n": n}, namespace="/proto", callback=lambda answer: answers.append(answer["data"]["n"]))
    await until(lambda: len(answers) == count or not client.connected, "all answers")
    assert answers == list(range(count)), len(answers)
    back = [arguments[0] for _, event, arguments in seen if event == "message-back"]
    assert back == list(range(count)), len(back)
    await client.disconnect()


async def each():
    """The scenes above, each told to have held or not: a line for each."""
    for part in [identity, refusal, event_names, burst]:
        try:
            await part()
            step(part.__name__, "holds")
        except Exception as error:
            step(part.__name__, "fails:", repr(error).replace("\n", " "))


async def refused():
    client = socketio.AsyncClient(reconnection=False)
    errors = []
    client.on("connect_error", errors.append, namespace="/nope")
    try:
        await client.connect(url, transports=transports, namespaces=["/nope"], wait_timeout=DEADLINE)
        raise AssertionError("/nope let a client in")
    except socketio.exceptions.ConnectionError:
        assert [error["message"] for error in errors] == ["Invalid namespace"], errors
        step("refused")


async def reconnect():
    client, seen = await connected(
        ["/", "/health", "/monitoring"], reconnection_delay=0.05, reconnection_delay_max=0.2, randomization_factor=0
    )
    await serve(client, seen)
    step("served", 0)
    greetings = {"/": "connection_confirmed", "/health": "health_connected", "/monitoring": "monitoring_connected"}
    for number in range(1, rounds + 1):
        # The test kills the server now, and starts another one at the same address.
        await until(lambda: not client.connected, "the end of the server is noticed")
        step("lost", number)
        seen.clear()
        await until(lambda: all(greeting in names(seen, of) for of, greeting in greetings.items()), "all namespaces again")
        for namespace, greeting in greetings.items():
            assert names(seen, namespace).count(greeting) == 1, names(seen, namespace)
        await serve(client, seen)
        step("served", number)
    await client.disconnect()


async def tokens():
    """Shows one token after the other, and tells what becomes of each."""
    for token in sys.argv[4:]:
        client, errors = socketio.AsyncClient(reconnection=False), []
        client.on("connect_error", errors.append, namespace="/echo")
        try:
            await client.connect(url, auth={"token": token}, transports=transports, namespaces=["/echo"], wait_timeout=DEADLINE)
            assert await client.call("say", {"text": "hi"}, namespace="/echo") == {"ok": True, "data": {"text": "hi"}}
            step("let in")
            await client.disconnect()
        except socketio.exceptions.ConnectionError:
            step("refused", errors[0]["message"] if isinstance(errors[0], dict) else errors[0])


scenes = [three_namespaces, recovery, acks, each, refused, reconnect, tokens]
asyncio.run({one.__name__: one for one in scenes}[scene]())
