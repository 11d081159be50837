"""HTTP requests that offer to speak another protocol are answered in this one, body included.

Java's HTTP client offers HTTP/2 with every request, and uvicorn then drops the body:
https://github.com/Kludex/uvicorn/issues/2722.
"""

import sys

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

OFFER = (b"upgrade", b"connection", b"http2-settings")


class WithoutUpgrade(HttpToolsProtocol):
    """Reads a request again that the parser gave up because of an offer, and leaves the offer out.

    RFC 9110, section 7.8: a server may ignore an Upgrade header.
    """

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._data = data
        super().data_received(data)
        self._data = b""

    def _should_upgrade(self) -> bool:
        """Called once the parser has seen an offer: start nothing, and call the next method."""
        return True

    def handle_websocket_upgrade(self) -> None:
        """Go on after the header; the parser's exception says where that is in the data."""
        method, refused = self.parser.get_method(), sys.exception()
        if method == b"CONNECT" or refused is None:
            self.send_400_response("")
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] not in OFFER]
        if b"close" in dict(self.headers).get(b"connection", b"").lower():
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        rest = self._data[refused.args[0] :]
        WithoutUpgrade.data_received(self, b"\r\n".join([*lines, b"", rest]))
