// What a browser may do here: this service's own page, and nothing on behalf of anybody else's.

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { Session } from "../../../bench/harness/session.ts";
import { configFixture } from "../../fixtures/config-fixture.ts";

/** `fetch` sets Host and Origin itself: this says what a browser would. */
function ask(port: number, request: string, headers: Record<string, string>): Promise<number> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host: "127.0.0.1", port }, () =>
      socket.write(`${request} HTTP/1.1\r\n${lines.join("")}Connection: close\r\n\r\n`),
    );
    socket.on("data", (data) => (answer += data.toString("latin1")));
    socket.on("error", reject);
    socket.on("close", () => resolve(Number(answer.split(" ")[1])));
  });
}

test("T-36: pages of other sites and rebound names get nothing, the own page does", async () => {
  await Session.run("browser", async (session) => {
    const { url, adminToken } = await configFixture(session, {
      urls: ["http://fleet.example:8000"],
    });
    const port = Number(new URL(url).port);
    const own = `127.0.0.1:${port}`;
    const bearer = { Authorization: `Bearer ${adminToken}` };
    const none = { "Content-Length": "0" };

    const answers = {
      ownPage: await ask(port, "GET /docs", { Host: own, "Sec-Fetch-Site": "none" }),
      linkedTo: await ask(port, "GET /docs", { Host: own, "Sec-Fetch-Site": "cross-site" }),
      knownName: await ask(port, "GET /docs", { Host: "fleet.example", "Sec-Fetch-Site": "none" }),
      rebound: await ask(port, "GET /docs", {
        Host: "evil.example",
        "Sec-Fetch-Site": "same-origin",
      }),
      reboundApi: await ask(port, "GET /api/v1/clusters", {
        ...{ Host: "evil.example", Origin: "http://evil.example", ...bearer },
      }),
      ownApi: await ask(port, "GET /api/v1/clusters", {
        ...{ Host: own, Origin: `http://${own}`, ...bearer },
      }),
      foreignOrigin: await ask(port, "GET /api/v1/clusters", {
        ...{ Host: own, Origin: "http://evil.example", ...bearer },
      }),
      sandboxed: await ask(port, "GET /api/v1/clusters", { Host: own, Origin: "null", ...bearer }),
      forgedPost: await ask(port, "POST /api/v1/tokens", {
        ...{ Host: own, "Sec-Fetch-Site": "cross-site", ...none, ...bearer },
      }),
      program: await ask(port, "GET /api/v1/clusters", { Host: "any.name", ...bearer }),
    };

    expect(answers).toEqual({
      ...{ ownPage: 200, linkedTo: 200, knownName: 200, rebound: 421, reboundApi: 421 },
      ...{ ownApi: 200, foreignOrigin: 403, sandboxed: 403, forgedPost: 403, program: 200 },
    });
  });
});

test("T-36: what users name is told as JSON alone, which no browser reads as a page", async () => {
  await Session.run("browser", async (session) => {
    const { url, call } = await configFixture(session);
    const script = '"><img src=x onerror=alert(1)>';

    const refused = await call("POST tokens", { body: { kind: "join", name: script } });
    const unknown = await fetch(`${url}/${encodeURIComponent(script)}`);

    for (const { headers } of [refused, unknown]) {
      expect(headers.get("content-type")).toMatch(/^application\/(problem\+)?json/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
  });
});
