// Whatever a source, a supernode, a peer or a user writes, each reader of it gives a value or a clean
// refusal: never an exception of another kind, and no refusal repeats a secret.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { basicAuthorization } from "../../src/net/basic-authorization.ts";
import { taskSchema } from "../../src/net/wire/task.ts";
import { isDfError } from "../../src/errors.ts";
import { parseAddressBlock, parseAddressWords } from "../../src/net/fleet/address-words.ts";
import { CredentialCheck } from "../../src/net/fleet/credential.ts";
import { formatJoinString, parseJoinString } from "../../src/net/fleet/join-string.ts";
import { EgressGuard } from "../../src/net/egress/egress-guard.ts";
import { DEFAULT_EGRESS } from "../../src/net/egress/egress-policy.ts";
import { PROBE_CONNECTIONS } from "../../src/limits.ts";
import { parseProxy } from "../../src/net/egress/proxy-rules.ts";
import { keptAnswerOf, termsOf } from "../../src/net/source/cache-terms.ts";
import { parseCacheControl, parseDeltaSeconds } from "../../src/net/source/cache-control.ts";
import { parseHttpDate, parseRetryAfter } from "../../src/net/source/http-date.ts";
import { contentRangeOf, factsOf } from "../../src/net/source/source-answer.ts";
import { parseSupernodeMessage } from "../../src/net/swarm/supernode-message.ts";
import {
  redactUrl,
  splitRequest,
  taskFieldsOf,
  unknownPartsOf,
  visibilityOf,
  wholeRequestOf,
} from "../../src/net/task-request.ts";
import { isFleetCa } from "../../src/net/tls/fleet-ca-name.ts";
import { isAddressProof } from "../../src/net/wire/address-proof.ts";
import { isProven } from "../../src/net/wire/key-proof.ts";
import { parsePreheatScope } from "../../src/net/wire/preheat-api.ts";
import { parseSelector } from "../../src/net/wire/settings-api.ts";
import { decodeTold } from "../../src/net/wire/signatures-api.ts";
import { isUrlPattern } from "../../src/net/url-pattern.ts";
import { taskIdOf } from "../../src/engine/bytes/task-id.ts";

/** Text that comes near to what is meant, and text that does not. */
function textLike(...parts: string[]): fc.Arbitrary<string> {
  const part = fc.oneof(fc.constantFrom(...parts), fc.string({ unit: "binary", maxLength: 8 }));
  return fc.oneof(
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.array(part, { maxLength: 8 }).map((all) => all.join("")),
    fc.constantFrom("9", "(", "%").map((sign) => sign.repeat(400)),
  );
}

const header = textLike(
  "bytes ",
  "0-",
  "1",
  "/",
  "*",
  ",",
  ";",
  "=",
  '"',
  "max-age",
  "Sun, 06 Nov 1994",
  "GMT",
);
const url = fc.oneof(
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  textLike(
    "http",
    "s",
    "://",
    "%",
    "@",
    ":",
    "u:p@",
    "host",
    "[::1]",
    "/",
    "?",
    "sig=x",
    "&",
    "#",
    "\\",
  ),
);
const headers = fc.dictionary(
  fc.oneof(fc.constantFrom("Authorization", "cookie", "Accept", "__proto__"), fc.string()),
  fc.string({ unit: "binary" }),
  { maxKeys: 4 },
);

const READERS: Record<string, [fc.Arbitrary<string>, (text: string) => unknown]> = {
  "Content-Range": [header, (text) => contentRangeOf({ "content-range": text })],
  "Cache-Control": [header, parseCacheControl],
  "delta-seconds": [header, parseDeltaSeconds],
  "HTTP dates": [header, parseHttpDate],
  "Retry-After": [header, (text) => parseRetryAfter(text, 0)],
  "messages of supernodes": [
    fc.oneof(fc.json(), textLike("{", "}", '"type"', ":", "joined", ",")),
    (text) => parseSupernodeMessage(text),
  ],
  "join strings": [
    fc.oneof(textLike("dfj", "_", "1", ".", "-", "eyJ", "=="), fc.base64String()),
    parseJoinString,
  ],
  "address words": [textLike("10.0.0.1", "::", "/", "8", "-", "ffff", "."), parseAddressWords],
  "address blocks": [textLike("10.0.0.1", "::", "/", "8", "129", "ffff", "."), parseAddressBlock],
  proxies: [url, parseProxy],
  "scopes of preheats": [textLike("hosts", ":", "25", "%", "idc", "=", ","), parsePreheatScope],
  selectors: [textLike("idc", "=", ",", "a", "-"), parseSelector],
  "patterns of sources": [url, isUrlPattern],
  "CA texts": [
    textLike("-----BEGIN CERTIFICATE-----", "\n", "MII", "-----END CERTIFICATE-----"),
    isFleetCa,
  ],
  "URLs to show": [url, redactUrl],
};

/** What was thrown if it is no refusal; undefined: all is well. */
async function misdeedOf(read: () => unknown): Promise<unknown> {
  try {
    await read();
    return undefined;
  } catch (error) {
    return isDfError(error) && error.status < 500 ? undefined : error;
  }
}

describe("T-32: garbage is read or refused:", () => {
  test.each(Object.entries(READERS))("%s", (_, [texts, read]) =>
    fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(await misdeedOf(() => read(text))).toBeUndefined();
      }),
      { numRuns: 500 },
    ),
  );

  test("requests with any URL and headers are split and named, or refused", () =>
    fc.assert(
      fc.asyncProperty(url, headers, async (text, fields) => {
        // Each door refuses what is no URL, and a field that is there twice, before it looks further.
        const names = new Set(Object.keys(fields).map((name) => name.toLowerCase()));
        if (!URL.canParse(text) || names.size < Object.keys(fields).length) return;
        const misdeed = await misdeedOf(() => {
          const request = { url: text, headers: fields };
          visibilityOf(request);
          const task = splitRequest(request);
          wholeRequestOf({ headers: {}, url: task.url, credentials: task.credentials });
          if (task.credentials !== undefined) unknownPartsOf(task.credentials);
          taskIdOf(taskFieldsOf({ ...task, headers: {} }, "private"));
        });

        expect(misdeed).toBeUndefined();
      }),
      { numRuns: 1_000 },
    ));

  test("answers of sources with any header fields", () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          "content-range": header,
          "content-length": header,
          "cache-control": header,
          "last-modified": header,
          expires: header,
          age: header,
          vary: header,
          etag: header,
          date: header,
        }),
        fc.integer({ min: 100, max: 599 }),
        async (fields, status) => {
          const misdeed = await misdeedOf(() => {
            const answer = {
              status,
              headers: fields,
              finalUrl: "http://a/b",
              requestedAt: 0,
              receivedAt: 1,
            };
            factsOf(answer as never);
            termsOf(keptAnswerOf(answer as never));
          });

          expect(misdeed).toBeUndefined();
        },
      ),
      { numRuns: 500 },
    ));

  test("proofs and credentials of any bytes are not believed", () =>
    fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "binary" }),
        fc.string({ unit: "binary" }),
        fc.oneof(fc.double(), fc.constant(Date.now())),
        fc.uint8Array({ maxLength: 200 }),
        async (one, other, at, bytes) => {
          const base64 = Buffer.from(bytes).toString("base64");
          const check = new CredentialCheck("A".repeat(43) + "=");

          expect(
            isProven("hello", { hostId: one, publicKey: base64 }, { at, signature: other }),
          ).toBe(false);
          expect(isAddressProof(other, one, { hostId: one, publicKey: base64 })).toBe(false);
          expect(await misdeedOf(() => check.check(one))).toBeUndefined();
          expect(await misdeedOf(() => decodeTold(bytes))).toBeUndefined();
          expect(await misdeedOf(() => decodeTold(new TextEncoder().encode(one)))).toBeUndefined();
        },
      ),
      { numRuns: 300 },
    ));

  test("addresses to read from, whatever they look like", async () => {
    const guard = new EgressGuard({ policy: DEFAULT_EGRESS, ...PROBE_CONNECTIONS });
    const local = fc.constantFrom(
      "http://0177.1/",
      "http://[::ffff:127.0.0.1]/",
      "http://2130706433/",
    );

    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          local,
          url.map((text) => text.replace(/^https?:/, "ftp:")),
        ),
        async (text) => {
          if (!URL.canParse(text)) return;
          expect(
            await misdeedOf(() =>
              guard.check(
                new URL(text),
                { from: null, known: undefined },
                AbortSignal.timeout(1_000),
              ),
            ),
          ).toBeUndefined();
        },
      ),
      { numRuns: 300 },
    );
  });
});

test.each([
  ["http://me:%zz@host/", "me:%zz"],
  ["http://m%C3%A9:p%40ss@host/", "mé:p@ss"],
  ["http://%E0%A4%A@host/", "%E0%A4%A:"],
])("T-32: user info of %s is sent as it can be read", (text, pair) => {
  const expected = `Basic ${Buffer.from(pair).toString("base64")}`;

  expect(basicAuthorization(new URL(text))).toBe(expected);
  expect(parseProxy(text)?.authorization).toBe(expected);
});

test.each([
  ["a b", "c"],
  ["", "c"],
  ["x", "c\n s3cret"],
  ["x", "\u0100 s3cret"],
  ["x", "\0"],
])("T-32: a header field %j that no request can carry is refused at the door", (name, value) => {
  const fields = { [name]: value };
  const credentials = { url: "http://a/", headers: fields };

  expect(taskSchema.safeParse({ url: "http://a/", headers: fields }).success).toBe(false);
  expect(taskSchema.safeParse({ url: "http://a/", credentials }).success).toBe(false);
});

test("T-35: a join string that is refused is not repeated", () => {
  fc.assert(
    fc.property(fc.base64String({ minLength: 12 }), fc.nat(), (secret, cut) => {
      const whole = formatJoinString({
        urls: ["http://10.0.0.1:8000"],
        token: `s3cret${secret}`,
        fleetKey: "A".repeat(43) + "=",
      });
      const broken = `${whole.slice(0, cut % whole.length)}!`;
      try {
        parseJoinString(broken);
      } catch (error) {
        const {
          message,
          hint = "",
          cause,
        } = error as { message: string; hint?: string; cause?: unknown };
        for (const text of [message, hint, String(cause)]) {
          expect(text).not.toContain("s3cret");
          if (broken.length > 12) expect(text).not.toContain(broken.slice(4, 24));
        }
      }
    }),
  );
});

test("T-35: no URL is shown with its user info, its query values or its fragment", () => {
  const secret = "s3cret";
  fc.assert(
    fc.property(
      fc.webUrl(),
      fc.constantFrom("user", "query", "fragment", "broken", "bare", "other"),
      (text, place) => {
        const shown = new URL(text);
        if (place === "user") [shown.username, shown.password] = [secret, secret];
        if (place === "query") shown.search = `?x=${secret}`;
        if (place === "fragment") shown.hash = `#${secret}`;
        const written = place === "broken" ? `http://me:${secret}@[/a?x=${secret}` : shown.href;

        expect(redactUrl(written)).not.toContain(secret);
      },
    ),
  );
});
