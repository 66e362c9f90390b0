// What a peer offers, cut into messages of a bounded size.

import { CONTROL_MESSAGE_BYTES_MAX } from "../../limits.ts";
import type { KnownContent } from "./join-message.ts";

/** A hold message names so many contents, and so many characters of bitmaps, at most. */
const HOLD_CONTENTS_MAX = 1024;
/** Of content ID and task ID. */
const ID_CHARACTERS = 128;
const HOLD_CHARACTERS_MAX = CONTROL_MESSAGE_BYTES_MAX / 2;

/** The contents in order, as many to a message as it holds; a large bitmap has one of its own. */
export function* holdBatches(contents: readonly KnownContent[]): Generator<KnownContent[]> {
  let batch: KnownContent[] = [];
  let characters = 0;
  for (const content of contents) {
    const isFull = batch.length === HOLD_CONTENTS_MAX;
    if (batch.length > 0 && (isFull || characters + content.have.length > HOLD_CHARACTERS_MAX)) {
      yield batch;
      batch = [];
      characters = 0;
    }
    batch.push(content);
    characters += content.have.length + ID_CHARACTERS;
  }
  if (batch.length > 0) yield batch;
}
