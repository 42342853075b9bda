/** What the chain says about a ciphertext. Registrations are immutable, so an answer never gets old. */
import { Context, type Effect } from "effect"
import type { CiphertextRecord } from "../../domain/ciphertext.ts"
import type { Handle } from "../../domain/handle.ts"
import type { ChainUnavailable } from "../1-detected/request-log.port.ts"

export class CiphertextRegistry extends Context.Service<
  CiphertextRegistry,
  {
    /** Records in the order asked; undefined for a handle nobody registered. */
    readonly records: (handles: ReadonlyArray<Handle>) => Effect.Effect<ReadonlyArray<CiphertextRecord | undefined>, ChainUnavailable>
  }
>()("portcullis/journey/3-ciphertext-fetched/CiphertextRegistry") {}
