/**
 * Sealer of one simulated node: AES-256-GCM under a key that all nodes of a world share, with nonces that follow from what is sealed
 * and how much was sealed before, so that a seed gives the same bytes again. Never for a real ledger: its key stands in the program.
 */
import { Effect, Layer } from "effect"
import { createCipheriv, createDecipheriv, createHmac, hash } from "node:crypto"
import { encodeContext } from "../../../src/keys/encryption-context.ts"
import { Sealer, type SealerUnavailable, SealRejected } from "../../../src/ledger/sealer.port.ts"

const NONCE_BYTES = 12
const TAG_BYTES = 16

export interface SealerOptions {
  readonly node: string
  /** The same for all nodes that must read each other's records. */
  readonly key: string
  /** Asked before every call: fails while the key provider is away. */
  readonly provider?: Effect.Effect<void, SealerUnavailable>
}

export const sealerOf = ({ node, key: name, provider = Effect.void }: SealerOptions): Layer.Layer<Sealer> => {
  const key = hash("sha256", name, "buffer")
  let seals = 0

  const seal = (aad: Uint8Array, plain: Uint8Array): Uint8Array => {
    seals += 1
    const nonce = createHmac("sha256", key).update(`${node}/${seals}/`).update(aad).update(plain).digest().subarray(0, NONCE_BYTES)
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad)
    return new Uint8Array(Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
  }

  const open = (aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined => {
    if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
    const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
      .setAAD(aad)
      .setAuthTag(sealed.subarray(-TAG_BYTES))
    try {
      return new Uint8Array(Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]))
    } catch {
      return undefined
    }
  }

  return Layer.succeed(Sealer, {
    seal: (context, plain) => Effect.andThen(provider, Effect.sync(() => seal(encodeContext(context), plain))),
    open: Effect.fnUntraced(function* (context, sealed) {
      yield* provider
      const plain = open(encodeContext(context), sealed)
      return plain ?? (yield* new SealRejected({ reason: "it was altered, or belongs to another row" }))
    })
  })
}
