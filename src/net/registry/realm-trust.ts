// Whether a password of a registry may be shown where the registry says that tokens are got: a 401 names
// any place (T-37), so it must be of the same host, or of the hosts beside it under one domain.
//
//   registry-1.docker.io ─▶ auth.docker.io       beside it
//   registry.gitlab.com  ─▶ gitlab.com           the domain above it
//   harbor.example       ─▶ auth.harbor.example  below it

import ipaddr from "ipaddr.js";
import { bareHost } from "../bare-host.ts";

/** @param registry its origin @param realm an http or https URL */
export function mayHearPassword(registry: string, realm: string): boolean {
  const [own, asked] = [new URL(registry), new URL(realm)];
  if (own.protocol === "https:" && asked.protocol !== "https:") return false;
  if (own.hostname === asked.hostname) return true;
  // What others could listen to stays with the host that it was given for.
  if (asked.protocol !== "https:" || isAddress(own.hostname)) return false;
  return [own.hostname, domainAbove(own.hostname)].some(
    (name) => name !== null && (asked.hostname === name || asked.hostname.endsWith(`.${name}`)),
  );
}

/**
 * The domain that a host is in; null where that may be a registry of domains, under which anybody has one:
 * "co.uk" and the like are told by their shortness alone.
 */
function domainAbove(hostname: string): string | null {
  const labels = hostname.split(".").slice(1);
  const [first = "", last = ""] = labels;
  if (labels.length < 2 || (labels.length === 2 && first.length <= 3 && last.length === 2)) {
    return null;
  }
  return labels.join(".");
}

function isAddress(hostname: string): boolean {
  return ipaddr.isValid(bareHost(hostname));
}
