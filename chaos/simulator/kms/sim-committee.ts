/** A committee that was dealt by nobody: its record as the chain has it, the handles that were encrypted for it, and what their right results
 * are. Shared by KMS nodes, combiner, contract and whoever checks afterwards. */
import { hash } from "node:crypto"
import { locationOf } from "../../../src/adapters/object-store/location.ts"
import type { CiphertextRecord } from "../../../src/domain/ciphertext.ts"
import type { Committee, NodeId } from "../../../src/domain/committee.ts"
import type { Handle } from "../../../src/domain/handle.ts"
import { fromHex, type Hex } from "../../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../../src/domain/request.ts"
import { encodeResult } from "../../../src/threshold/result-encoding.ts"
import { sha256Hex } from "../chain/sim-block.ts"
import type { Chance } from "../chance.ts"
import { DealtKey, elementOf, encodeElement, seal, shareBytesOf, statementOf } from "./stand-in-mathematics.ts"

export const EPOCH = 1
const address = (name: string): Hex => `0x${hash("sha256", name, "hex").slice(0, 40)}`
export const addressOf = address

export interface SimCiphertext {
  readonly record: CiphertextRecord
  readonly bytes: Uint8Array
  readonly plain: Uint8Array
}

export class SimCommittee {
  readonly record: Committee
  readonly decryption: DealtKey
  readonly attestation: DealtKey

  constructor(nodes: number, threshold: number) {
    this.decryption = new DealtKey("decryption", threshold)
    this.attestation = new DealtKey("attestation", threshold)
    this.record = {
      epoch: EPOCH,
      suiteId: sha256Hex("suite"),
      threshold,
      nodes: Array.from({ length: nodes }, (_, index) => ({
        id: index + 1,
        identity: address(`identity ${index + 1}`),
        endpoint: `k${index + 1}`,
        decryptionKey: sha256Hex(`decryption key ${index + 1}`),
        attestationKey: sha256Hex(`attestation key ${index + 1}`)
      })),
      decryptionKey: sha256Hex("decryption key"),
      attestationKey: sha256Hex("attestation key"),
      scheme: "bls",
      isRetired: false
    }
  }

  encrypt(handle: Handle, owner: Hex, stores: ReadonlyArray<string>, chance: Chance): SimCiphertext {
    const plain = chance.bytes(chance.between(8, 40))
    const bytes = seal(this.decryption.wholeOf(statementOf(handle, "0x")), plain)
    const digest: Hex = `0x${hash("sha256", bytes, "hex")}`
    const record = {
      handle,
      owner,
      digest,
      sizeBytes: bytes.length,
      epoch: EPOCH,
      locations: stores.map((store) => locationOf(store, digest))
    }
    return { record, bytes, plain }
  }

  shares(node: NodeId, request: DecryptionRequest): ReadonlyArray<Uint8Array> {
    return request.handles.map((handle) =>
      encodeElement(this.decryption.shareOf(node, statementOf(handle, request.transportKey)), shareBytesOf(request.kind))
    )
  }

  /** What the contract must get. */
  resultOf(request: DecryptionRequest, ciphertexts: ReadonlyMap<Handle, SimCiphertext>): Uint8Array {
    return encodeResult(
      request.handles.map((handle) =>
        request.kind === "public"
          ? ciphertexts.get(handle)!.plain
          : encodeElement(this.decryption.wholeOf(statementOf(handle, request.transportKey)), shareBytesOf("user"))
      )
    )
  }

  attestationPart(node: NodeId, digest: Hex): Uint8Array {
    return encodeElement(this.attestation.shareOf(node, digest), ATTESTATION_PART_BYTES)
  }

  attestationOf(digest: Hex): Uint8Array {
    return encodeElement(this.attestation.wholeOf(digest), ATTESTATION_BYTES)
  }

  isAttestationRight(digest: Hex, attestation: Hex): boolean {
    return Buffer.compare(fromHex(attestation), this.attestationOf(digest)) === 0
  }
}

export const ATTESTATION_PART_BYTES = 48
export const ATTESTATION_BYTES = 128

/** 65 bytes that only this identity makes, as far as anybody here looks. */
export const signatureOf = (identity: Hex, digest: Hex): Uint8Array => {
  const text = hash("sha512", `${identity} ${digest}`, "buffer")
  return new Uint8Array([...text, 27])
}

/** A well-formed element that is not the right one. */
export const wrongElement = (seed: string, length: number): Uint8Array => encodeElement(elementOf(`wrong ${seed}`), length)
