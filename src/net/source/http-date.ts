// Dates in header fields (RFC 9110 §5.6.7): the one form that is sent today and the two old ones.
// `Date.parse` alone takes "-5" for a year and reads the asctime form in the machine's time zone.

import type { UnixMs } from "../../engine/core/freshness.ts";
import { parseDeltaSeconds } from "./cache-control.ts";

const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";

/** Sun, 06 Nov 1994 08:49:37 GMT · Sunday, 06-Nov-94 08:49:37 GMT */
const WITH_ZONE =
  /^[A-Z][a-z]+, (\d{2})[ -]([A-Z][a-z]{2})[ -](\d{4}|\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;

/** Sun Nov  6 08:49:37 1994 */
const ASCTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;

/** Null when the field is missing or no HTTP date. */
export function parseHttpDate(field: string | undefined): UnixMs | null {
  const text = field?.trim() ?? "";
  const zoned = WITH_ZONE.exec(text);
  if (zoned !== null) {
    const [, day, month, year, ...time] = zoned;
    return instant(Number(day), month!, fullYear(year!), time.map(Number));
  }
  const [, month, day, hour, minute, second, year] = ASCTIME.exec(text) ?? [];
  if (month === undefined) return null;
  return instant(Number(day), month, Number(year), [hour, minute, second].map(Number));
}

/**
 * Milliseconds to wait, from seconds or an HTTP date (RFC 9110 §10.2.3); null when the header
 * is missing or means nothing.
 */
export function parseRetryAfter(value: string | undefined, nowMs: UnixMs): number | null {
  const seconds = parseDeltaSeconds(value ?? "");
  if (seconds !== null) return seconds * 1_000;
  const until = parseHttpDate(value);
  return until === null ? null : Math.max(0, until - nowMs);
}

function instant(day: number, month: string, year: number, time: number[]): UnixMs | null {
  const monthIndex = MONTHS.indexOf(month) / 3;
  const [hour = NaN, minute = NaN, second = NaN] = time;
  // A leap second is the next minute's first.
  const isTime = hour < 24 && minute < 60 && second <= 60;
  if (!Number.isInteger(monthIndex) || monthIndex < 0 || !isTime) return null;
  // 31 February would become a day of March.
  const isDay = new Date(Date.UTC(year, monthIndex, day)).getUTCDate() === day;
  return isDay ? Date.UTC(year, monthIndex, day, hour, minute, second) : null;
}

/** Two digits that would lie in the far future mean the century before. */
function fullYear(digits: string): number {
  if (digits.length === 4) return Number(digits);
  const year = 2_000 + Number(digits);
  return year > new Date().getUTCFullYear() + 50 ? year - 100 : year;
}
