// What nobody catches costs what it happened to, and nobody else.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import { startProcess } from "../../fixtures/start-process.ts";

test("T-32, T-35: faults that nobody catches end no service, are logged, and tell no secret", () =>
  Session.run("faults", async (session) => {
    const service = join(import.meta.dir, "faulty-service.ts");

    const { exitCode, stdout, stderr } = await startProcess(session, [process.execPath, service])
      .finished;

    expect(new TextDecoder().decode(stdout)).toContain("still here");
    expect(exitCode).toBe(0);
    expect(stderr.match(/error faulty: bug: nobody caught/g)).toHaveLength(4);
    expect(stderr).toContain("nobody caught TypeError | at ");
    expect(stderr).toContain("read the s3venth piece");
    expect(stderr).toContain("stopping: SIGTERM");
    expect(stderr).not.toContain("s3cret");
  }));

test.if(process.platform === "linux")("T-35: a service leaves no dump of its memory", () =>
  Session.run("faults", async (session) => {
    const service = join(import.meta.dir, "faulty-service.ts");

    const { stdout } = await startProcess(session, [
      ...["sh", "-c", 'ulimit -S -c unlimited 2>/dev/null; exec "$@"', "sh"],
      ...[process.execPath, service],
    ]).finished;

    expect(new TextDecoder().decode(stdout)).toMatch(/Max core file size +0 +0 /);
  }),
);
