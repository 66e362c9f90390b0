// User and password of a URL as the field that carries them (RFC 7617 §2), in UTF-8.

/** Null: the URL has neither. What is no percent-encoding is taken as it stands, as curl does. */
export function basicAuthorization({
  username,
  password,
}: Pick<URL, "username" | "password">): string | null {
  if (username === "" && password === "") return null;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return `Basic ${Buffer.from(pair).toString("base64")}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
