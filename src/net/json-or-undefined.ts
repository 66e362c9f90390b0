// JSON from whoever sent it: what is none is for the schema to refuse, like any other wrong shape.

/** Undefined, which no JSON text means, for what is no JSON. */
export function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
