// Reads what a registry wants to see: the WWW-Authenticate field of a 401.
//
//   challenge = auth-scheme [ 1*SP ( token68 / #auth-param ) ], and any number of them, with commas between
//
// @see RFC 9110 §11.2, §11.3, §11.6.1

/** One way in. */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Null where parameters stand instead, or nothing. */
  readonly token68: string | null;
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Where a token is got, and of what it is to be (distribution, "Token Authentication"). */
export interface BearerChallenge {
  /** An http or https URL. */
  readonly realm: string;
  /** "": the registry named none. */
  readonly service: string;
  /** Space-separated; "": the registry named none. */
  readonly scope: string;
}

/** A longer field is not read: realm, service and scope are some 200 characters. */
const FIELD_CHARS_MAX = 4_096;

const TOKEN = /[\w!#$%&'*+.^`|~-]+/y;
const TOKEN68 = /[\w.~+/-]+=*(?=[\t ]*(?:,|$))/y;
const EQUALS = /[\t ]*=[\t ]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
const SPACES = / +/y;
/** Between elements of a list; empty elements are nothing (RFC 9110 §5.6.1.2). */
const GAP = /[\t ]*(?:,[\t ]*)*/y;
const END_OF_ELEMENT = /(?=[\t ]*(?:,|$))/y;

/** Null: it is no list of challenges. */
export function parseChallenges(field: string): Challenge[] | null {
  if (field.length > FIELD_CHARS_MAX) return null;
  const scanner = new Scanner(field);
  const challenges: Challenge[] = [];
  scanner.take(GAP);
  while (!scanner.isAtEnd) {
    const challenge = takeChallenge(scanner);
    if (challenge === null) return null;
    challenges.push(challenge);
  }
  return challenges;
}

/** The first Bearer challenge that says where a token is got; null: there is none. */
export function bearerOf(field: string | undefined): BearerChallenge | null {
  for (const { scheme, parameters } of parseChallenges(field ?? "") ?? []) {
    const { realm = "", service = "", scope = "" } = parameters;
    const { protocol } = URL.canParse(realm) ? new URL(realm) : { protocol: "" };
    const isHttp = protocol === "http:" || protocol === "https:";
    if (scheme === "bearer" && isHttp) return { realm, service, scope };
  }
  return null;
}

/** Reads one challenge and the gap behind it. */
function takeChallenge(scanner: Scanner): Challenge | null {
  const scheme = scanner.take(TOKEN)?.[0]?.toLowerCase();
  if (scheme === undefined) return null;
  const parameters: Record<string, string> = {};
  if (scanner.take(SPACES) === null) {
    return scanner.takeElementEnd() ? { scheme, token68: null, parameters } : null;
  }
  const token68 = scanner.take(TOKEN68)?.[0] ?? null;
  if (token68 !== null) {
    return scanner.takeElementEnd() ? { scheme, token68, parameters } : null;
  }
  for (;;) {
    const parameter = takeParameter(scanner);
    // What is no parameter begins the next challenge; but something must be behind the spaces.
    if (parameter === "none")
      return Object.keys(parameters).length > 0 ? { scheme, token68, parameters } : null;
    if (parameter === null || Object.hasOwn(parameters, parameter.name)) return null;
    parameters[parameter.name] = parameter.value;
  }
}

/** Null: it is malformed. */
function takeParameter(scanner: Scanner): { name: string; value: string } | "none" | null {
  const before = scanner.position;
  const name = scanner.take(TOKEN)?.[0]?.toLowerCase();
  if (name === undefined || scanner.take(EQUALS) === null) {
    scanner.position = before;
    return "none";
  }
  const quoted = scanner.take(QUOTED)?.[1]?.replace(/\\(.)/gs, "$1");
  const value = quoted ?? scanner.take(TOKEN)?.[0];
  if (value === undefined || !scanner.takeElementEnd()) return null;
  return { name, value };
}

class Scanner {
  readonly #text: string;
  position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.position === this.#text.length;
  }

  /** What `pattern`, a sticky one, finds here, and goes behind it; null: nothing. */
  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.#text);
    if (match !== null) this.position = pattern.lastIndex;
    return match;
  }

  /** Goes to the next element; false: something else follows here. */
  takeElementEnd(): boolean {
    return this.take(END_OF_ELEMENT) !== null && this.take(GAP) !== null;
  }
}
