// What makes machines of a fleet believe each other: the CA that the fleet's key vouches for,
// certificates of servers, and the secrets that supernodes are given when they join.

import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { DfError } from "../../errors.ts";
import { type ServerTls, serverTlsOf } from "../../net/tls/renewable-server.ts";
import {
  type CaAnswer,
  caStatement,
  CONFIG_TLS_NAME,
  type JoinFleetRequest,
  SUPERNODE_TLS_NAME,
  type SupernodeSecrets,
  tlsNameOf,
} from "../../net/wire/fleet-api.ts";
import { privateKeyOf } from "../../net/wire/key-proof.ts";
import { type CaKeys, issueCertificate } from "./certificates.ts";
import type { FleetKeys, TrustKeys } from "./fleet-keys.ts";

export class FleetAuthority {
  /** For anybody who asks. */
  readonly caAnswer: CaAnswer;
  /** Ed25519, SPKI, base64: by it manifests and tickets are checked. */
  readonly clusterKey: string;
  readonly #keys: TrustKeys;

  /** @throws {DfError} file-unreadable, when a key is damaged */
  constructor({ document }: FleetKeys) {
    const { trust, signing } = document;
    try {
      this.#keys = trust!;
      const ca = this.#keys.caCertificate;
      const fleetKey = createPrivateKey({ key: signing, format: "jwk" });
      const signature = sign(null, caStatement(ca), fleetKey).toString("base64");
      this.caAnswer = { ca, signature };
      const clusterKey = createPublicKey(privateKeyOf(this.#keys.clusterPrivateKey));
      this.clusterKey = clusterKey.export({ type: "spki", format: "der" }).toString("base64");
    } catch {
      // Without the cause: it might quote the file.
      throw new DfError("file-unreadable", "use the fleet's keys: damaged", {
        hint: "restore a backup: what machines hold was signed with these keys",
      });
    }
  }

  /**
   * What a supernode is given that joins, or renews its membership. Of what it sent only the key counts.
   * @throws {DfError} usage, when its TLS key is none
   */
  async secretsFor({
    hostId,
    tlsPublicKey,
  }: Pick<JoinFleetRequest, "hostId" | "tlsPublicKey">): Promise<SupernodeSecrets> {
    const { contentSecret, clusterPrivateKey } = this.#keys;
    const secrets = { contentSecret, clusterPrivateKey };
    if (tlsPublicKey === undefined) return secrets;
    const names = [tlsNameOf(hostId), SUPERNODE_TLS_NAME];
    try {
      const certificate = await issueCertificate(this.#ca, { publicKey: tlsPublicKey, names });
      return { ...secrets, certificate };
    } catch (cause) {
      throw new DfError("usage", "join the fleet: the TLS key is no public key of P-256", {
        cause,
        hint: "send it as SPKI (DER, base64)",
      });
    }
  }

  /**
   * A key and certificate for this replica of `df config`, new with each call.
   * @param hosts names and addresses by which tools that know no fleet reach it
   */
  async ownTls(hosts: readonly string[]): Promise<ServerTls> {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const spki = publicKey.export({ type: "spki", format: "der" }).toString("base64");
    const names = [...new Set([CONFIG_TLS_NAME, ...hosts])];
    const certificate = await issueCertificate(this.#ca, { publicKey: spki, names });
    return serverTlsOf(privateKey.export({ type: "pkcs8", format: "pem" }), certificate);
  }

  get #ca(): CaKeys {
    return { certificate: this.#keys.caCertificate, privateKey: this.#keys.caPrivateKey };
  }
}
