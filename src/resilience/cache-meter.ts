/** What is said of a cache while it is used. Where nobody listens (a command, a KMS node) nothing is said. */
import { Effect, Option } from "effect"
import type { CacheName } from "../telemetry/caches.ts"
import { Telemetry } from "../telemetry/telemetry.port.ts"

export interface CacheMeter {
  /** Answered without asking anybody anew. */
  readonly hit: () => void
  readonly miss: () => void
  /** What it holds after this; `evicted`: how many had to go. */
  readonly holds: (of: { readonly entries: number; readonly bytes?: number; readonly evicted: number }) => void
}

export const UNMETERED: CacheMeter = { hit: () => undefined, miss: () => undefined, holds: () => undefined }

export const meterHere = (cache: CacheName): Effect.Effect<CacheMeter> =>
  Effect.map(Effect.serviceOption(Telemetry), (telemetry) => (Option.isSome(telemetry) ? meterOf(telemetry.value, cache) : UNMETERED))

const meterOf = (telemetry: Telemetry["Service"], cache: CacheName): CacheMeter => ({
  hit: () => telemetry.count("cache_hits", 1, cache),
  miss: () => telemetry.count("cache_misses", 1, cache),
  holds: ({ entries, bytes, evicted }) => {
    telemetry.gauge("cache_entries", entries, cache)
    if (bytes !== undefined) telemetry.gauge("cache_bytes", bytes, cache)
    if (evicted > 0) telemetry.count("cache_evictions", evicted, cache)
  }
})
