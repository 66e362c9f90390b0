// Whatever stands behind a flag is read or refused with the flag's name; no reader fails in another way.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseChecksum } from "../../src/engine/bytes/digest.ts";
import { isDfError } from "../../src/errors.ts";
import {
  parseOriginPattern,
  parseOriginPolicy,
} from "../../src/roles/command-line/egress-flags.ts";
import {
  parseConfigService,
  parseJoin,
  parseLabels,
} from "../../src/roles/command-line/fleet-flags.ts";
import {
  parseDuration,
  parseRate,
  parseShare,
  parseSize,
  parseTimeout,
} from "../../src/roles/command-line/quantities.ts";
import { parseSettings } from "../../src/roles/command-line/settings-file.ts";
import { parseTlsMode } from "../../src/roles/command-line/tls-mode.ts";
import {
  parseAdvertisedAddress,
  parseListenAddress,
} from "../../src/roles/command-line/listen-address.ts";
import { readTokenSecret } from "../../src/roles/config/token-secret.ts";

test.each(["http://me:s3cret@host:8000", "http://me:s3cret@[", "me:s3cret@host:8000"])(
  "T-35: an address of df config with a password is refused and not repeated: %s",
  (text) => {
    expect(() => parseConfigService("--config-service", text)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.not.stringContaining("s3cret") }),
    );
  },
);

const part = fc.constantFrom(
  ...[
    "1",
    "0",
    "-",
    ".",
    "5",
    "M",
    "MiB",
    "%",
    "s",
    "h",
    "e9",
    ":",
    "@",
    "[",
    "::1",
    "]",
    "a=b",
    ",",
  ],
  ...["http://", "sha256:", "dfj_", "\0", "\n", "é", "Infinity", "NaN", "__proto__"],
);
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.array(part, { maxLength: 6 }).map((parts) => parts.join("")),
  fc.constantFrom("9", "a").map((sign) => sign.repeat(2_000)),
);

const READERS: Record<string, (flag: string, value: string) => unknown> = {
  ...{ parseShare, parseSize, parseRate, parseDuration, parseTimeout, parseTlsMode },
  ...{ parseListenAddress, parseAdvertisedAddress, parseOriginPolicy, parseOriginPattern },
  ...{ parseJoin, parseConfigService },
  parseLabels: (flag, value) => parseLabels(flag, [value]),
  parseChecksum: (_, value) => parseChecksum(value),
  readTokenSecret: (_, value) => readTokenSecret(value),
  settingsFiles: (_, value) =>
    parseSettings("df.yaml", value, [{ name: "quota", value: "SIZE", help: "" }]),
};

test.each(Object.entries(READERS))("T-32: %s reads any text or refuses it as usage", (_, read) => {
  fc.assert(
    fc.property(text, (value) => {
      // "@FILE" is read: that is another question.
      if (value.startsWith("@")) return;
      try {
        const result = read("--flag", value);
        if (typeof result === "number") expect(Number.isFinite(result)).toBe(true);
      } catch (error) {
        if (!isDfError(error, "usage")) throw error;
      }
    }),
    { numRuns: 500 },
  );
});
