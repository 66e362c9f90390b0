// The heads of messages that the relay reads: whatever it takes, it passes on as it was.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { lastOfConnection, parseHead } from "../../../src/roles/relay/message-head.ts";

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,15}$/);
const field = fc
  .tuple(
    token.filter((name) => !/^(connection|content-length|transfer-encoding)$/i.test(name)),
    fc.stringMatching(/^[\x20-\x7e]{0,40}$/),
  )
  .map(([name, value]) => `${name}: ${value}`);

test("clean fields survive in their order, and the connection ends", () => {
  fc.assert(
    fc.property(fc.array(field), (fields) => {
      const head = parseHead(["GET / HTTP/1.1", ...fields].join("\r\n"));

      if (head === "malformed") throw new Error("clean fields were refused");
      const kept = fields.filter((line) => !/^(keep-alive|proxy-[a-z]+):/i.test(line));
      expect(lastOfConnection(head)).toBe(
        ["GET / HTTP/1.1", ...kept, "Connection: close", "", ""].join("\r\n"),
      );
    }),
  );
});

test("no garbage makes the parser throw, and none brings control characters through", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const head = parseHead(text);

      if (head === "malformed") return;
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      expect([head.startLine, ...head.fields].join("")).not.toMatch(/[\0-\x08\n-\x1f\x7f]/);
    }),
  );
});

test("T-26: what a message cannot be read without stays, whatever Connection names", () => {
  const fields = ["Host: a", "Content-Length: 5", "X-Hop: 1"];
  const head = parseHead(
    [
      "PUT / HTTP/1.1",
      "Connection: host, Content-Length, transfer-encoding, x-hop",
      ...fields,
    ].join("\r\n"),
  );

  expect(head === "malformed" ? head : lastOfConnection(head)).toBe(
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
  );
});

test("a field that Connection names is between two hops", () => {
  const head = parseHead("GET / HTTP/1.1\r\nConnection: close, X-Hop\r\nx-hop: 1\r\nX-Kept: 2");

  expect(head === "malformed" ? head : lastOfConnection(head)).toBe(
    "GET / HTTP/1.1\r\nX-Kept: 2\r\nConnection: close\r\n\r\n",
  );
});
