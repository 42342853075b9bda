/**
 * Locations, `store://<name>/<key>`: written by strangers, so read strictly. One location has one spelling, and no key can
 * climb out of a store.
 */
import { LOCATION_BYTES_MAX } from "../../domain/limits.ts"

export interface Location {
  readonly store: string
  /** Relative, slash-separated; every segment a plain file name. */
  readonly key: string
}

const SCHEME = "store://"
/** Part of every location on chain, hence short and plain. */
const STORE_NAME = /^[a-z0-9][a-z0-9-]{0,31}$/
/** No segment begins with a dot: neither "." nor "..", nor a file that is still being written. */
const SEGMENT = /^[a-z0-9_-][a-z0-9._-]*$/
const DIGEST = /^0x[0-9a-f]{64}$/

export const isStoreName = (name: string): boolean => STORE_NAME.test(name)

/** The location, or what is wrong with it. */
export const parseLocation = (text: string): Location | { readonly fault: string } => {
  if (text.length > LOCATION_BYTES_MAX) return { fault: `longer than ${LOCATION_BYTES_MAX} bytes` }
  if (!text.startsWith(SCHEME)) return { fault: `does not begin with ${SCHEME}` }
  const [store = "", ...segments] = text.slice(SCHEME.length).split("/")
  if (!isStoreName(store)) return { fault: "has no proper store name" }
  if (segments.length === 0) return { fault: "has no key" }
  if (!segments.every((segment) => SEGMENT.test(segment) && !segment.includes(".."))) return { fault: "has no proper key" }
  return { store, key: segments.join("/") }
}

/** Whether this is a sha256 as we write it. */
export const isDigest = (digest: string): boolean => DIGEST.test(digest)

/** Where content-addressed stores keep the bytes of a digest: 256 folders, so that none gets too long. */
export const keyOf = (digest: string): string => `${digest.slice(2, 4)}/${digest.slice(2)}.pct`

export const locationOf = (store: string, digest: string): string => `${SCHEME}${store}/${keyOf(digest)}`
