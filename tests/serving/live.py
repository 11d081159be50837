"""The HTTP and gRPC servers on the test's own event loop, with limits of the test's choice."""

import asyncio
import contextlib
import socket

import grpc

from bonafide.serving.answer import Answer
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import Limits
from bonafide.serving.server import rest_server_of
from bonafide.serving.v2 import rpc

DEFAULT = Limits()


class Slow:
    """A model that answers once told; knows how many requests it has and how many were given up."""

    name, version, ready = "slow", "1", True

    def __init__(self, info):
        self.shapes = {"label": (), "probabilities": (3,), "uncertain": ()}
        self.info = info
        self.begun = self.cancelled = 0
        self.go = asyncio.Event()

    async def answer(self, images, outputs):
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Answer("slow", "1", ("red",), {})


@contextlib.asynccontextmanager
async def listening(models, limits=DEFAULT):
    """The HTTP server; gives its port."""
    server = rest_server_of(models, limits, Budget(limits.held))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def calling(models, limits=DEFAULT):
    """The gRPC server; gives it and a channel to it."""
    server = rpc.Server(models, limits, Budget(limits.held), "127.0.0.1", 0)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield server, channel
    finally:
        await server.drain(0)
