/**
 * The user's half of a user decryption. It does not print, serialise or clone; whoever wants its bytes has to say so with
 * `reveal`.
 */
import { toHex, type Hex } from "../domain/hex.ts"
import { nobleEngine } from "../threshold/noble-engine.ts"
import { randomSecret, readSecret, ScalarRejected } from "../threshold/scalar.ts"
import { transportKeyOf } from "../threshold/transport.ts"
import { InputRejected, SecretDestroyed } from "./client-errors.ts"

const REDACTED = "[transport secret]"

export class TransportSecret {
  /** Compressed G1, 48 bytes: what stands in the request. */
  readonly publicKey: Hex
  #secret: Uint8Array | undefined

  private constructor(secret: Uint8Array) {
    this.#secret = secret
    this.publicKey = toHex(transportKeyOf(nobleEngine, secret))
  }

  /** One for each request is best: whoever has it can open every result that was asked for with it. */
  static generate(): TransportSecret {
    return new TransportSecret(randomSecret())
  }

  /** From what `reveal` gave: 32 bytes, copied. Throws `InputRejected`. */
  static fromBytes(bytes: Uint8Array): TransportSecret {
    try {
      return new TransportSecret(readSecret(bytes))
    } catch (error) {
      if (error instanceof ScalarRejected) throw new InputRejected({ argument: "bytes", reason: error.message })
      throw error
    }
  }

  /**
   * A copy of the 32 bytes, to be kept where only their owner can read them until the result is there. Throws
   * `SecretDestroyed`.
   */
  reveal(): Uint8Array {
    if (this.#secret === undefined) throw new SecretDestroyed()
    return Uint8Array.from(this.#secret)
  }

  /** Overwrites it. Results that were asked for with it can no longer be opened. */
  destroy(): void {
    this.#secret?.fill(0)
    this.#secret = undefined
  }

  [Symbol.dispose](): void {
    this.destroy()
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return REDACTED
  }
}
