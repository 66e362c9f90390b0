// Entity tags in the conditions of a request (RFC 9110 §8.8.3, §13.1.2).

/** Whether If-None-Match names this tag, compared weakly. @param field its value; undefined: none was sent */
export function namesTag(field: string | undefined, etag: string): boolean {
  if (field === undefined) return false;
  const tags = field.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(etag) || tags.includes("*");
}
