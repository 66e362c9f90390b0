// What must not be kept leaves the disk once nobody uses it; everything else stays.

import { expect, test } from "bun:test";
import { UnkeptContents } from "../../src/roles/freshness/unkept-contents.ts";
import { LiveSettings } from "../../src/roles/settings/live-settings.ts";
import { idOf, openTestStore, putContent, temporaryDir } from "../store/store-fixture.ts";

const answerOf = (cacheControl: string) => ({
  fields: { "cache-control": cacheControl },
  ...{ requestedAt: 1, receivedAt: 1, redirectSeconds: null },
});

test("only what must not be kept and nobody uses is deleted", async () => {
  using dir = temporaryDir();
  const { store } = await openTestStore(dir.path);
  const said = ["no-store", "private, max-age=60", "no-cache", "max-age=60", "no-store"];
  for (const [seed, cacheControl] of said.entries()) {
    (await putContent(store, seed, 1)).noteAnswer(answerOf(cacheControl));
  }
  await putContent(store, said.length, 1);
  const release = store.get(idOf(4))!.lease();
  const gone = Promise.withResolvers<void>();

  const unkept = new UnkeptContents({
    ...{ store, settings: new LiveSettings(), intervalMs: 5 },
    onDeleted: gone.resolve,
    onWarning: (message) => gone.reject(new Error(message)),
  });
  await gone.promise;
  unkept.stop();

  const kept = store.list().map(({ facts }) => facts.contentId);
  expect(kept).toEqual([2, 3, 4, 5].map(idOf));
  release();
  await store.close();
});
