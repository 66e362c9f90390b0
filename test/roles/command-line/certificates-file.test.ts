// Files of certificates that flags name: what is none is refused when flags are read.

import { expect, test } from "bun:test";
import { DfError } from "../../../src/errors.ts";
import { rootCertificates } from "node:tls";
import { checkCertificates } from "../../../src/roles/command-line/certificates-file.ts";

const [first, second] = rootCertificates as [string, string];

test("a file of certificates is given back as it is, with what stands between them", () => {
  const pem = `# two\n${first}\n${second}\n`;

  expect(checkCertificates("--cacert", "ca.pem", pem)).toBe(pem);
});

test.each([
  ["nothing", ""],
  ["another text", "Authorization: Bearer x\n"],
  ["a damaged certificate", first.replace(/\n.{40}/, "\n")],
  ["one good and one damaged", `${first}\n${second.replace(/\n.{40}/, "\n")}`],
])("%s is refused as a file, not later as a network's fault", (_name, pem) => {
  const attempt = () => checkCertificates("--cacert", "ca.pem", pem);

  expect(attempt).toThrow(DfError);
  expect(attempt).toThrow("read ca.pem for --cacert: no certificates");
});
