// Starts many processes of a bench, a few at a time: all at once on few cores they only slow each other.

const STARTS_AT_ONCE = 4;

/** @returns what each start gave, in the order of `items` */
export async function fewAtOnce<Item, Started>(
  items: readonly Item[],
  start: (item: Item, index: number) => Promise<Started>,
): Promise<Started[]> {
  const started: Started[] = [];
  for (let first = 0; first < items.length; first += STARTS_AT_ONCE) {
    const batch = items.slice(first, first + STARTS_AT_ONCE);
    started.push(...(await Promise.all(batch.map((item, i) => start(item, first + i)))));
  }
  return started;
}
