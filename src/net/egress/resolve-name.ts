// Names to addresses, all of them. Services ask the resolver that waits without a thread: the system's
// has a few threads for the whole process, which some hundred slow names keep busy for minutes.

import { lookup } from "node:dns/promises";

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** @throws an error with a `code`, as node:dns does */
export type ResolveName = (hostname: string) => Promise<readonly ResolvedAddress[]>;

/** Hosts file and DNS, without any other service of nsswitch.conf. */
export const resolveWithoutThreads: ResolveName = async (hostname) => {
  try {
    return (await Bun.dns.lookup(hostname, { backend: "c-ares" })).map(({ address, family }) => ({
      address,
      family: family === 6 ? 6 : 4,
    }));
  } catch (error) {
    throw withNodeCode(error);
  }
};

/** As every other program of this machine resolves names. */
export const resolveAsSystem: ResolveName = async (hostname) =>
  (await lookup(hostname, { all: true, verbatim: true })).map(({ address, family }) => ({
    address,
    family: family === 6 ? 6 : 4,
  }));

/** DNS_ENOTFOUND is ENOTFOUND to the rest of the world. */
function withNodeCode(error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  const code = String(error.code).replace(/^DNS_/, "");
  return Object.assign(new Error(error.message, { cause: error }), { code });
}
