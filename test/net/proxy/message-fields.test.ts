// Which header fields a proxy passes on.

import { expect, test } from "bun:test";
import type { IncomingMessage } from "node:http";
import {
  cameThrough,
  endToEndFields,
  reasonPhrase,
  withVia,
} from "../../../src/net/proxy/message-fields.ts";
import { ProxyCredentials } from "../../../src/net/proxy/proxy-credentials.ts";
import { Secret } from "../../../src/engine/bytes/secret.ts";

function message(...rawHeaders: string[]): IncomingMessage {
  const headers: Record<string, string> = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    headers[name] = [headers[name], rawHeaders[i + 1]].filter(Boolean).join(", ");
  }
  return { rawHeaders, headers } as unknown as IncomingMessage;
}

test("what is between two hops ends here, also what Connection names", () => {
  const fields = endToEndFields(
    message(
      ...["Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=5", "TE", "trailers"],
      ...[
        "Proxy-Connection",
        "keep-alive",
        "Proxy-Authorization",
        "Basic c2VjcmV0",
        "Upgrade",
        "h2c",
      ],
      ...["Transfer-Encoding", "chunked", "Expect", "100-continue", "X-End", "2"],
    ),
  );

  expect(fields).toEqual({ "x-end": "2" });
});

test("T-26: Connection takes no body's length away", () => {
  const fields = endToEndFields(
    message("Connection", "Content-Length, X-A", "Content-Length", "5"),
  );

  expect(fields).toEqual({ "content-length": "5" });
});

test("repeated fields stay apart and in order", () => {
  const fields = endToEndFields(message("Set-Cookie", "a=1", "X-B", "x", "set-cookie", "b=2"));

  expect(fields).toEqual({ "set-cookie": ["a=1", "b=2"], "x-b": "x" });
});

test("the names of objects' own properties are fields like others", () => {
  const fields = endToEndFields(message("constructor", "a", "constructor", "b", "toString", "c"));

  expect(fields["constructor"]).toEqual(["a", "b"]);
  expect(fields["tostring"]).toBe("c");
});

test("a proxy adds itself to Via and knows itself there", () => {
  const via = withVia({ via: "1.0 first" }, "1.1", "df-1")["via"] as string;

  expect(via).toBe("1.0 first, 1.1 df-1");
  expect(cameThrough(message("Via", via), "df-1")).toBe(true);
  expect(cameThrough(message("Via", via), "df-2")).toBe(false);
});

test("T-27: credentials of the proxy are accepted whole or not at all", () => {
  const credentials = new ProxyCredentials(new Secret(["me:secret", "you:ümläut:x"]));
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

  expect(credentials.accepts(basic("me:secret"))).toBe(true);
  expect(credentials.accepts(basic("you:ümläut:x"))).toBe(true);
  expect(credentials.accepts(`BASIC  ${btoa("me:secret")}`)).toBe(true);
  for (const field of [
    ...[undefined, "", "Basic", "Basic ", basic("me:"), basic("me:secre"), basic("me:secret2")],
    ...[
      basic(""),
      basic("you:secret"),
      `Bearer ${btoa("me:secret")}`,
      "Basic !!",
      btoa("me:secret"),
    ],
  ]) {
    expect({ field, isAccepted: credentials.accepts(field) }).toEqual({ field, isAccepted: false });
  }
});

test("T-27: a status line's words end no line, whatever is told in them", () => {
  expect(reasonPhrase("Forbidden: a\r\nSet-Cookie: b\u0000 näher")).toBe(
    "Forbidden: a Set-Cookie: b  n her",
  );
  expect(reasonPhrase("x".repeat(10_000))).toHaveLength(256);
});
