"""The server of the page on this machine, from Python and from a notebook."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
import warnings
import weakref
import webbrowser
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from latentgeo.explorer.choices import Decode
from latentgeo.metrics import Metric

if TYPE_CHECKING:  # they draw, and `import latentgeo` is not to wait for that
    from bokeh.document import Document

    from latentgeo.explorer.scene import Scene
    from latentgeo.explorer.tasks import Tasks

_ADDRESS = "127.0.0.1"
_TRIED = 50  # ports
_START = 30.0  # seconds within which a server starts


class Explorer:
    """A page that is being served, until :meth:`stop`; also a context manager.

    Attributes:
        url: where the page is.
        port: the port in it.
    """

    def __init__(self, scene: Scene, port: int) -> None:
        self._scene = scene
        self._tasks: weakref.WeakSet[Tasks] = weakref.WeakSet()  # of pages; a thread at work holds its own
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(
            target=self._serve, args=(port,), name="latentgeo explorer", daemon=True
        )
        self._thread.start()
        if not self._started.wait(_START):
            raise OSError(f"the page's server did not start within {_START:.0f} s")
        if self._error is not None:
            raise self._error
        self.url = f"http://{_ADDRESS}:{self.port}/"

    def wait(self) -> None:
        """Waits until the server has stopped, or for Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """Stops the server; pages that are open say no more, and nothing is computed for them any more."""
        if self._thread.is_alive():
            self._loop.add_callback(self._stop)
            self._thread.join(_START)

    def __enter__(self) -> Explorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self.stop()

    def __repr__(self) -> str:
        return f"Explorer({self.url!r})"

    def _serve(self, port: int) -> None:
        """In a thread and with an event loop of its own, so that a notebook's goes on."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            from tornado.ioloop import IOLoop

            import latentgeo.explorer.page  # noqa: F401 - now, and not while the first browser waits

            self._loop = IOLoop.current()
            self._server = _listening(self._fill, port, self._loop)
            self.port = int(self._server.port or port)
            self._server.start()
        except Exception as error:  # noqa: BLE001 - raised again by who started the thread
            self._error = error
            self._started.set()
            return
        self._started.set()
        loop.run_forever()
        for tasks in list(self._tasks):
            tasks.close()
        loop.close()

    def _stop(self) -> None:
        self._server.stop()
        self._server.unlisten()
        self._loop.stop()

    def _fill(self, document: Document) -> None:
        from latentgeo.explorer.page import Page

        self._tasks.add(Page(document, self._scene).tasks)


def explore(
    metric: Metric,
    latents: Tensor | np.ndarray,
    decode: Decode,
    labels: object = None,
    *,
    image_shape: Sequence[int] | None = None,
    port: int = 5006,
    browser: bool = True,
    wait: bool | None = None,
) -> Explorer:
    """Opens a page in the browser to look around in a latent space.

    It shows the points, coloured by their labels, over the map log √det G; above two dimensions in a plane that is
    chosen on the page. Two clicks, or a drag, or two points that are typed, give the geodesic and the straight line
    between them, their lengths in ambient units, a word on the search, and what both decode to. There are geodesic
    balls and the fan of the exponential map, clusters, other metrics where the decoder allows, and files of what is
    seen. The page is served on this machine for this machine alone, and takes nothing from elsewhere.

    In a notebook the page is shown below the cell, which ends at once. PyTorch's forward mode is not made for two
    threads: do not compute derivatives in other cells while the page is at work.

    Args:
        metric: the metric, which comes first on the page; the Euclidean one and those that the answer of ``decode``
            allows (pull-back, expected pull-back, Fisher) are beside it.
        latents: (N, d) points, a tensor or an array; at most 2000 of them are shown.
        decode: a decoder of batches (N, d), of tensors, of (mean, std) or of distributions, of which the mean is
            shown: as images where it has the shape of images, else as values along the curve.
        labels: (N,) of the points, numbers or words, at most 49 different ones.
        image_shape: (height, width) or (channels, height, width), for decoders to rows of numbers; () if they are no
            images; None to take rows that fill a square of 7 by 7 or more for an image.
        port: where to serve; the next free one, where it is in use. 0 for any.
        browser: whether to open the page; not in a notebook.
        wait: whether to come back only after Ctrl-C; None for whether this is no interactive session.

    Returns:
        The :class:`Explorer`, whose ``url`` is that of the page; ``stop()`` ends it.

    Raises:
        ImportError: Bokeh is not installed.
        TypeError: ``metric``, ``latents`` or ``decode`` is something else.
        ValueError: ``latents`` are not (N, d) or not finite, or ``labels`` not one for each of them.
        OSError: none of the ports from ``port`` on is free.

    Warns:
        UserWarning: ``port`` is in use, and the page elsewhere.

    Example:
        >>> import torch
        >>> from latentgeo import explore, expected_pullback_metric
        >>> from latentgeo.data import load_digits
        >>> from latentgeo.training import reference_model
        >>> vae, digits = reference_model("digits"), load_digits().of_classes((0, 1, 2))
        >>> z = vae.encode(digits.images.flatten(1)).mean
        >>> explore(expected_pullback_metric(vae.decode), z, vae.decode, digits.labels)  # doctest: +SKIP
        Explorer('http://127.0.0.1:5006/')
    """
    require_bokeh()
    if not 0 <= port < 2**16:
        raise ValueError(f"port: expected a number from 0 to 65535, got {port}")
    from latentgeo.explorer.scene import scene_of

    explorer = Explorer(scene_of(metric, latents, decode, labels, image_shape=image_shape), port)
    if port not in (0, explorer.port):
        try:
            warnings.warn(f"port {port} is in use: the page is {explorer.url}", stacklevel=2)
        except UserWarning:  # where warnings are errors, nobody is left to stop the server
            explorer.stop()
            raise
    if _in_notebook():
        from IPython.display import IFrame, display  # type: ignore[import-not-found]

        display(IFrame(explorer.url, width="100%", height=860))
        return explorer
    if browser:
        webbrowser.open(explorer.url)
    if wait if wait is not None else not hasattr(sys, "ps1"):
        try:
            explorer.wait()
        except KeyboardInterrupt:
            explorer.stop()
    return explorer


def require_bokeh() -> None:
    """Says what to install where Bokeh is missing.

    Raises:
        ImportError: it is.
    """
    if importlib.util.find_spec("bokeh") is None:
        raise ImportError(
            "the explorer's page is made with Bokeh; install it: pip install 'latentgeo[explore]'"
        )


def _listening(fill: Any, port: int, loop: Any) -> Any:
    """A Bokeh server on the first free port from this one on."""
    from bokeh.server.server import Server

    last = min(port + _TRIED, 2**16) if port else 1
    for tried in range(port, last):
        if _is_free(tried):
            return Server(
                {"/": fill}, io_loop=loop, address=_ADDRESS, port=tried, allow_websocket_origin=_origins(tried),
                check_unused_sessions_milliseconds=2000, unused_session_lifetime_milliseconds=2000,
            )  # fmt: skip
    raise OSError(f"port: none of the ports from {port} to {last - 1} is free")


def _is_free(port: int) -> bool:
    """Whether a server may listen there; asked beforehand, as Bokeh leaves a socket open where it may not."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((_ADDRESS, port))
        except OSError:
            return False
    return True


def _origins(port: int) -> list[str]:
    """The page as a browser may name it; of any port, Bokeh fills in which one it was given."""
    return [f"{host}:{port}" for host in (_ADDRESS, "localhost")] if port else [_ADDRESS, "localhost"]


def _in_notebook() -> bool:
    """Whether a cell of a notebook is being run."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
