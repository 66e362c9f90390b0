// User and password as the fields that carry them (RFC 7617 §2), in UTF-8.

/** @param pair "user:password" */
export function basicOf(pair: string): string {
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

/** The bytes "user:password" of a field; null: it shows none. */
export function basicPairIn(field: string | undefined): Buffer | null {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(field ?? "")?.[1];
  return encoded === undefined ? null : Buffer.from(encoded, "base64");
}

/** Those of a URL; null: it has neither. What is no percent-encoding is taken as it stands, as curl does. */
export function basicAuthorization({
  username,
  password,
}: Pick<URL, "username" | "password">): string | null {
  if (username === "" && password === "") return null;
  return basicOf(`${decoded(username)}:${decoded(password)}`);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
