"""The origin of the client checks: a page with sub-resources, what its script asks for, and files that know ranges.

Python's own http.server, and so an implementation of HTTP that is neither ours nor hyper. Prints its port.
"""

import base64
import hashlib
import http.server
import struct
import sys
import threading
import time

FILE = bytes((i * 7 + (i >> 8)) & 255 for i in range(1 << 20))

PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<link rel="stylesheet" href="/style.css"><script src="/app.js" defer></script>
<body><img id="image" src="/image.svg" alt=""><img src="/hold" alt=""><pre id="results">nothing</pre>
"""

# The page has loaded only when /hold has answered, and /hold answers when the script has posted its results: so whoever
# waits for the page to load has waited for the script, and no time has to be guessed.
SCRIPT = """
const results = {};
async function check(name, run) {
  try { results[name] = await run(); } catch (error) { results[name] = 'error: ' + error; }
}
const byte = i => (i * 7 + (i >> 8)) & 255;
const bytes = count => Uint8Array.from({ length: count }, (_, i) => byte(i));
const isFile = view => view.every((value, i) => value === byte(i));
const event = (target, name) => new Promise((resolve, reject) => {
  target.addEventListener(name, resolve, { once: true });
  target.addEventListener('error', () => reject(new Error('while waiting for ' + name)), { once: true });
});
async function socket(protocol) {
  const ws = new WebSocket('ws://' + location.host + '/socket');
  ws.binaryType = 'arraybuffer';
  await event(ws, 'open');
  ws.send('gr\\u00fc\\u00df dich');
  const text = (await event(ws, 'message')).data;
  ws.send(bytes(100000));
  const data = new Uint8Array((await event(ws, 'message')).data);
  ws.close(1000, 'done');
  const closed = await event(ws, 'close');
  return [text === 'gr\\u00fc\\u00df dich', data.length === 100000 && isFile(data), closed.code, closed.wasClean].join(' ');
}
async function events() {
  const source = new EventSource('/events');
  const seen = [];
  while (seen.length < 3) seen.push((await event(source, 'message')).data);
  source.close();
  return seen.join(' ');
}
async function stream() {
  const reader = (await fetch('/stream')).body.getReader();
  let pieces = 0, length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return pieces >= 3 && length === 5000;
    pieces += 1; length += value.length;
  }
}
async function abort() {
  const controller = new AbortController();
  const answer = await fetch('/endless', { signal: controller.signal });
  await answer.body.getReader().read();
  controller.abort();
  return (await fetch('/file')).ok;
}
async function run() {
  await check('stylesheet', () => getComputedStyle(document.body).color);
  await check('image', async () => { await document.getElementById('image').decode(); return document.getElementById('image').naturalWidth; });
  await check('download', async () => { const view = new Uint8Array(await (await fetch('/file')).arrayBuffer()); return view.length === 1 << 20 && isFile(view); });
  await check('upload', async () => {
    const view = new Uint8Array(await (await fetch('/echo', { method: 'POST', body: bytes(1 << 20) })).arrayBuffer());
    return view.length === 1 << 20 && isFile(view);
  });
  await check('range', async () => { const answer = await fetch('/file', { headers: { Range: 'bytes=100-199' } }); return answer.status + ' ' + (await answer.arrayBuffer()).byteLength; });
  await check('many', async () => { const all = await Promise.all(Array.from({ length: 60 }, (_, i) => fetch('/file?' + i).then(a => a.arrayBuffer()))); return all.every(a => a.byteLength === 1 << 20); });
  await check('websocket', socket);
  await check('events', events);
  await check('stream', stream);
  await check('abort', abort);
  document.getElementById('results').textContent = JSON.stringify(results);
  await fetch('/done', { method: 'POST', body: '' });
}
run();
"""

IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="37" height="11"><rect width="37" height="11"/></svg>'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Silence."""

    def do_GET(self):
        path = self.path.split("?")[0]
        plain = {
            "/": ("text/html", PAGE.encode()),
            "/style.css": ("text/css", b"body { color: rgb(1, 2, 3) }"),
            "/app.js": ("text/javascript", SCRIPT.encode()),
            "/image.svg": ("image/svg+xml", IMAGE.encode()),
            "/file": ("application/octet-stream", FILE),
        }
        if path == "/file" and self.headers["Range"]:
            self.part(self.headers["Range"])
        elif path in plain:
            self.answer(200, *plain[path])
        elif path == "/hold":
            self.server.done.wait(60)
            self.answer(200, "image/svg+xml", IMAGE.encode())
        elif path == "/events":
            self.pieces("text/event-stream", (b"id: %d\ndata: event-%d\n\n" % (i, i) for i in range(1000)), 0.05)
        elif path == "/stream":
            self.pieces("application/octet-stream", (FILE[i:i + 1000] for i in range(0, 5000, 1000)), 0.05)
        elif path == "/endless":
            self.pieces("application/octet-stream", (FILE for _ in range(1000)), 0.01)
        elif path == "/socket":
            self.websocket()
        else:
            self.answer(404, "text/plain", b"not here\n")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.body()
        if self.path == "/done":
            self.server.done.set()
        self.answer(200, "application/octet-stream", body)

    do_PUT = do_POST

    def answer(self, status, kind, body, **fields):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def part(self, wanted):
        first, last = wanted.removeprefix("bytes=").split("-")
        first, last = int(first), int(last or len(FILE) - 1)
        self.answer(206, "application/octet-stream", FILE[first:last + 1], Content_Range=f"bytes {first}-{last}/{len(FILE)}")

    def pieces(self, kind, pieces, pause):
        """A body in chunks, with a pause between them, as long as the client takes them."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(pause)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.gone += 1
            self.close_connection = True

    def body(self):
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while count := int(self.rfile.readline(), 16):
            body += self.rfile.read(count)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def websocket(self):
        """Echo (RFC 6455): whole messages come back, and so does a close."""
        key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
        self.end_headers()
        self.close_connection = True
        message, kind = b"", 0
        while len(head := self.rfile.read(2)) == 2:
            length = head[1] & 127
            if length >= 126:
                wide = {126: ">H", 127: ">Q"}[length]
                length, = struct.unpack(wide, self.rfile.read(struct.calcsize(wide)))
            mask = self.rfile.read(4)
            masked = self.rfile.read(length)
            keys = int.from_bytes(mask * (length // 4 + 1), "big") >> 8 * (4 - length % 4)
            message += (int.from_bytes(masked, "big") ^ keys).to_bytes(length, "big")
            kind = (head[0] & 15) or kind
            if not head[0] & 128:
                continue
            size = bytes([len(message)]) if len(message) < 126 else struct.pack(">BH", 126, len(message)) if len(message) < 65536 else struct.pack(">BQ", 127, len(message))
            self.wfile.write(bytes([128 | kind]) + size + message)
            if kind == 8:
                return
            message = b""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.done, self.gone = threading.Event(), 0

    def handle_error(self, *_):
        """A client that goes away is no news."""


if __name__ == "__main__":
    server = Server()
    print(server.server_address[1], flush=True)
    sys.stdout.flush()
    server.serve_forever()
