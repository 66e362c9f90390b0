// The HTTP API by which pieces travel, between peers and from supernodes alike.
//
//   GET /v1/pieces/<contentId>/<index>   Range: bytes=a-b (within the piece), at most RANGE_BYTES_MAX
//     200/206  the wire form's bytes          404  this server does not have the piece, or not in the
//                                                  form that DF-Form names (8 hex digits of its SHA-256)
//     416      the range lies outside it      503  slots are full, with Retry-After (seconds)
//     401      the ticket of a private content does not count: see ticketed-request.ts
//   GET /v1/have/<contentId>             the bitmap of verified pieces (PieceSet.toBytes), 404 if none
//   GET /v1/rows/<contentId>?from=<n>    a rows frame (swarm-frames.ts) of handle 0: manifest rows that
//                                        this host knows at first hand, from the n-th on; 404 if none
//   GET /v1/signatures/<contentId>?from=<n>  what bears the fleet's signature, from the n-th group of rows
//                                        on, whoever told it: see signatures-api.ts; 404 if nothing
//   GET /v1/address?nonce=<32 hex>       the host's signature over the nonce: see address-proof.ts
//
// Private contents are given against a ticket alone (ticketed-request.ts). Without one they are answered
// for as what is not here, 404; with one that does not count both are 401.

/** 64 lower-case hex digits: the only form of a content or task ID in a path or message. */
export const ID_PATTERN = /^[0-9a-f]{64}$/;

export function piecePath(contentId: string, index: number): string {
  return `/v1/pieces/${contentId}/${index}`;
}

/** Names the wire form that is wanted: two hosts that each read the source may hold different ones. */
export const FORM_FIELD = "DF-Form";

/** @param mark `wireMarkOf` the piece's row */
export function formField(mark: number): string {
  return mark.toString(16).padStart(8, "0");
}

export function havePath(contentId: string): string {
  return `/v1/have/${contentId}`;
}

export function signaturesPath(contentId: string, from: number): string {
  return `/v1/signatures/${contentId}?from=${from}`;
}

export function rowsPath(contentId: string, from: number): string {
  return `/v1/rows/${contentId}?from=${from}`;
}
