// What registries tell of pushes, as it is worked off.

import { expect, test } from "bun:test";
import { DfError } from "../../../src/errors.ts";
import { PushedImages } from "../../../src/roles/config/preheats/pushed-images.ts";

test("T-35: of a pushed manifest's URL nothing is kept or told but where it is", async () => {
  const asked: string[] = [];
  const warned = Promise.withResolvers<string>();
  const refusing = {
    createForImage: async ({ image }: { image: string }): Promise<never> => {
      asked.push(image);
      throw new DfError("network", "ask the registry");
    },
  };
  const pushed = new PushedImages(refusing, warned.resolve);
  const url = "https://me:secret@registry.test/v2/team/app/manifests/1?sig=hidden#part";
  const event = { action: "push", target: { mediatype: "application/x.manifest+json", url } };
  const wish = { scope: "supernodes", clusters: [], keepSeconds: 60 };

  pushed.take({ events: [event] }, wish, { author: "registry", idempotencyKey: null });

  expect(await warned.promise).not.toMatch(/secret|hidden/);
  expect(asked).toEqual(["https://registry.test/v2/team/app/manifests/1"]);
});
