// How programs come to trust the proxy's CA: most have a place for one host's CA, which is better than to
// trust it for everything.

/**
 * Lines for people.
 * @param path of the certificate
 * @param hosts that the CA speaks for
 */
export function trustAdvice(path: string, hosts: readonly string[]): string {
  const host = hosts.find((name) => !name.startsWith("*")) ?? "HOST";
  const rows = [
    ["docker", `install -D -m 644 ${path} /etc/docker/certs.d/${host}/ca.crt`],
    ["containerd", `hosts.toml of ${host}: ca = "${path}"`],
    ["podman, skopeo", `install -D -m 644 ${path} /etc/containers/certs.d/${host}/ca.crt`],
    ["curl", `curl --cacert ${path} --proxy http://127.0.0.1:65001 https://${host}/…`],
    ["pip", `PIP_CERT=${path} (or REQUESTS_CA_BUNDLE)`],
    ["npm, node", `NODE_EXTRA_CA_CERTS=${path} (or npm's cafile)`],
    ["git, Git LFS", `git config --global http.https://${host}.sslCAInfo ${path}`],
    ["java, Maven", `keytool -importcert -alias df -file ${path} -keystore FILE`],
    [
      "Debian, Ubuntu",
      `install -m 644 ${path} /usr/local/share/ca-certificates/df.crt && update-ca-certificates`,
    ],
    [
      "Fedora, RHEL",
      `install -m 644 ${path} /etc/pki/ca-trust/source/anchors/df.pem && update-ca-trust`,
    ],
  ];
  const lines = rows.map(([who, what]) => `  ${who!.padEnd(16)}${what}`);
  const notes = [
    "The folder of a registry with a port is called HOST:PORT.",
    "Users who may not read the peer's data directory need a copy: df ca export FILE",
  ];
  return ["to trust it:", ...lines, ...notes].join("\n");
}
