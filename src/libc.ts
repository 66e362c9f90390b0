// The C library of this process, for the few system calls that the runtime does not offer.

import { dlopen, type FFIFunction, type Library } from "bun:ffi";
import { readFileSync } from "node:fs";

/** Binds functions of the C library. @throws when it cannot be found or lacks one of them */
export function openLibc<Functions extends Record<string, FFIFunction>>(
  functions: Functions,
): Library<Functions>["symbols"] {
  return dlopen(libcPath(), functions).symbols;
}

/**
 * Where it lies, absolute: a bare name would be looked up in the current directory when the loader
 * does not know it.
 */
function libcPath(): string {
  if (process.platform === "darwin") return "/usr/lib/libSystem.B.dylib";
  const mapped =
    /(\/\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl-[\w-]+\.so\.1|libc\.musl-[\w-]+\.so\.1))$/m;
  const path = mapped.exec(readFileSync("/proc/self/maps", "utf8"))?.[1];
  if (path === undefined) throw new Error("find the C library: none is mapped");
  return path;
}
