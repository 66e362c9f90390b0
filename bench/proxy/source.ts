// The source of the proxy's bench, in a process of its own: one body, over http and over https.
// argv: CERT KEY BYTES; prints its two ports.

import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";

const BLOCK = Buffer.alloc(256 << 10, 7);

const [certPath = "", keyPath = "", bytes = "0"] = process.argv.slice(2);

function* blocks(): Generator<Buffer> {
  for (let left = Number(bytes); left > 0; left -= BLOCK.length) yield BLOCK.subarray(0, left);
}

const answer: RequestListener = (_request, response) => {
  response.writeHead(200, {
    ...{ "content-length": bytes, etag: '"v1"', "cache-control": "max-age=600" },
  });
  Readable.from(blocks()).pipe(response);
};

const plain = createServer(answer).listen(0, "127.0.0.1", () => {
  const tls = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  const secure = createTlsServer(tls, answer).listen(0, "127.0.0.1", () => {
    const ports = [plain, secure].map((server) => (server.address() as AddressInfo).port);
    console.log(JSON.stringify(ports));
  });
});
