// What the log tells of files that the swarm has no part in though a rule gives them to it.

import { afterEach, expect, test } from "bun:test";
import { redactUrl } from "../../../src/net/task-request.ts";
import { RuleNotices } from "../../../src/roles/proxy/rule-notices.ts";
import { supernodeFixture } from "../../fixtures/supernode-fixture.ts";
import { Cleanups, randomBytes, sourceFixture } from "../peer-fixture.ts";
import { forwardFixture } from "./forward-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const noticeOf = (url: string) => `join ${redactUrl(url)}: read here`;

test("a host is told of once, whichever of its files is asked for, and each other host once", () => {
  const notices = new RuleNotices();
  const tell = (url: string) => notices.tell(new URL(url), noticeOf(url));

  expect(["http://srv/a", "http://srv/b?c=d", "http://srv:81/a", "http://srv/a"].map(tell)).toEqual(
    [
      "a rule gives http://srv to the swarm: join http://srv: read here",
      null,
      "a rule gives http://srv:81 to the swarm: join http://srv:81: read here",
      null,
    ],
  );
});

test("no password of a URL gets into the log", () => {
  const line = new RuleNotices().tell(
    new URL("http://anna:secret@srv/a"),
    noticeOf("http://anna:secret@srv/a"),
  );

  expect(line).not.toContain("secret");
});

test("a flood of hosts is not told without end", () => {
  const notices = new RuleNotices();
  const lines = Array.from({ length: 2_000 }, (_, i) =>
    notices.tell(new URL(`http://h${i}/`), noticeOf(`http://h${i}/`)),
  );

  expect(lines.filter((line) => line !== null)).toHaveLength(1_000);
});

// df get said so; through the proxy nobody heard that a rule for such a name brings nothing.
test("that a name without a dot is read by this host itself is in its log, once", async () => {
  const supernode = await supernodeFixture({ listen: { hostname: "0.0.0.0", port: 0 } });
  cleanups.defer(() => supernode.stop());
  const data = randomBytes(20_000);
  const { port } = new URL(sourceFixture(cleanups, data).url);
  const proxy = await forwardFixture(cleanups, {
    rules: ["localhost=swarm"],
    supernodes: [supernode.current.address.replace("0.0.0.0", "127.0.0.1")],
  });

  const names = ["a", "b"];
  for (const name of names) {
    const answer = await fetch(`http://localhost:${port}/${name}`, { proxy: proxy.url });
    expect(data.equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
  }

  expect(proxy.forwards.swarm).toBe(names.length);
  expect(proxy.warnings).toEqual([
    `a rule gives http://localhost:${port} to the swarm: join http://localhost:${port}: ` +
      "localhost is another machine here: reading from the source on this host",
  ]);
});
