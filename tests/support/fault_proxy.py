"""A TCP proxy between an agent and its API server, which fails as networks do when a test tells it to.

    with contextlib.closing(FaultProxy(cluster.port)) as proxy:
        node = make_node(cluster, "node-p", kubeconfig=str(proxy.kubeconfig(cluster, "node-p")))
        proxy.swallow()     # nothing goes through, and nobody is told
        proxy.heal()

It looks into nothing: TLS goes through as it is. What is swallowed is dropped in the kernel, before it is acknowledged:
the agent's probes stay unanswered, as behind a router that lost its state. A proxy that merely stops reading would
answer them.
"""

import asyncio
import ctypes
import fcntl
import pathlib
import socket
import struct
import termios
import threading

from cluster import reserved_port, write_kubeconfig

SO_ATTACH_FILTER = 26  # of <asm-generic/socket.h>; Python does not name it
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # a filter of one instruction: return 0
DROP_EVERYTHING = struct.pack("HL", 1, ctypes.addressof(_DROP))
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CALL_SECONDS = 10
LAST_PIECES_SECONDS = 0.2


class FaultProxy:
    """`target`: the port on loopback where new connections go; a test may set another."""

    def __init__(self, target):
        self.target = self._first_target = target
        held = reserved_port()
        self.port = held.getsockname()[1]
        held.close()
        self.bytes = 0  # that came, from both sides
        self.pairs = set()  # all of this: in the loop's thread
        self._listener = None
        self._last_request = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.pass_on()

    def kubeconfig(self, cluster, node_name):
        """That of the node's agent, with this proxy as its server."""
        cluster.node_kubeconfig(node_name)
        path = pathlib.Path(cluster.directory) / f"{node_name}-by-proxy.kubeconfig"
        write_kubeconfig(path, f"https://127.0.0.1:{self.port}", cluster.pki.ca,
                         *cluster.pki.files(f"daemonsetd-node-{node_name}"))
        return path

    # What the network does

    def pass_on(self):
        """New connections go through. What was swallowed stays so."""
        self._call(self._pass_on())

    def refuse(self):
        """Nobody listens, and open connections are reset."""
        self._call(self._refuse())

    def cut(self):
        """Open connections are reset; new ones are as they were."""
        self._call(self._cut())

    def swallow(self):
        """No packet is answered any more, of open connections and of those that are tried."""
        self._call(self._swallow())

    def cut_after_request(self, size):
        """Open connections are reset after the next request of at least `size` bytes: it arrives, its answer does not,
        nor what else the server says. Answers the threading.Event of that."""
        return self._after_request(size, self._cut)

    def swallow_after_request(self, size):
        """Likewise, but open connections are swallowed; new ones go through."""
        return self._after_request(size, self._swallow_open)

    def heal(self):
        """As at first. What was swallowed is reset, lest somebody waits for it."""
        self.target = self._first_target
        self.cut()
        self.pass_on()

    def close(self):
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # In the loop's thread

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_SECONDS)

    async def _pass_on(self):
        if self._listener:
            self._close_listener()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self._listener = await self._loop.create_server(lambda: Pair(self).agent, sock=listening)

    def _close_listener(self):
        self._listener.close()
        self._listener = None

    async def _refuse(self):
        if self._listener:
            self._close_listener()
        await self._cut()

    async def _cut(self):
        for pair in list(self.pairs):
            pair.reset()

    async def _swallow(self):
        self._listener.sockets[0].setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_EVERYTHING)
        await self._swallow_open()

    async def _swallow_open(self):
        for pair in list(self.pairs):
            await pair.swallow()

    def _after_request(self, size, fail):
        done = threading.Event()

        async def arm():
            self._last_request = (size, fail, done)

        self._call(arm())
        return done

    def asked(self, size):
        """An agent sent so many bytes; they went through."""
        if not self._last_request or size < self._last_request[0]:
            return
        _, fail, done = self._last_request
        self._last_request = None
        for pair in self.pairs:
            pair.mute = True

        async def fail_soon():
            await asyncio.sleep(LAST_PIECES_SECONDS)
            await fail()
            done.set()

        self._failing = self._loop.create_task(fail_soon())


class Pair:
    """A connection of the agent, and the one to the server that goes with it."""

    def __init__(self, proxy):
        self.mute = False  # what the server says goes nowhere
        self.swallowed = False
        self.agent, self.server = Side(self), Side(self)
        self._proxy = proxy
        self._early = bytearray()  # what the agent said before the server was there

    def opened(self, side):
        if side is self.agent:
            self._proxy.pairs.add(self)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        else:
            side.transport.write(bytes(self._early))

    async def _connect(self):
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, "127.0.0.1", self._proxy.target)
        except OSError:
            self.reset()

    def came(self, side, data):
        self._proxy.bytes += len(data)
        if self.swallowed or (self.mute and side is self.server):
            return
        other = self.server if side is self.agent else self.agent
        if other.transport:
            other.transport.write(data)
        else:
            self._early += data
        if side is self.agent:
            self._proxy.asked(len(data))

    def ended(self, side, error):
        if self.swallowed:
            return
        if error:
            self.reset()
        else:
            self._proxy.pairs.discard(self)
            for one in (self.agent, self.server):
                one.close()

    def reset(self):
        self.swallowed = True
        self._proxy.pairs.discard(self)
        for side in (self.agent, self.server):
            side.reset()

    async def swallow(self):
        self.swallowed = True
        if self.agent.transport.is_closing():
            return
        # What is unacknowledged is sent again and again, and each time the agent hears of us.
        while self.agent.unacknowledged():
            await asyncio.sleep(0.005)
        self.agent.socket().setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_EVERYTHING)


class Side(asyncio.Protocol):
    def __init__(self, pair):
        self._pair = pair
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        self._pair.opened(self)

    def data_received(self, data):
        self._pair.came(self, data)

    def connection_lost(self, error):
        self._pair.ended(self, error)

    def socket(self):
        return self.transport.get_extra_info("socket")

    def unacknowledged(self):
        count = fcntl.ioctl(self.socket().fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return struct.unpack("i", count)[0]

    def close(self):
        """When all is sent."""
        if self.transport:
            self.transport.close()

    def reset(self):
        if self.transport and not self.transport.is_closing():
            self.socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        if self.transport:
            self.transport.abort()
