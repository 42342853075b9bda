/**
 * The generated service, with doors that do not throw: bytes that are no message become a `WireFault`, which each side then
 * answers in its own way. (@grpc/grpc-js would report them as an internal error of the server.) The limits of a message stand
 * here, for both sides.
 */
import type { MethodDefinition } from "@grpc/grpc-js"
import {
  COMMITTEE_NODES_MAX,
  HANDLES_PER_REQUEST_MAX,
  PUBLIC_CIPHERTEXT_BYTES_MAX,
  PUBLIC_PLAINTEXT_BYTES_MAX,
  RESPONSES_PER_ATTESTATION_MAX
} from "../../domain/limits.ts"
import { KmsNodeService } from "./generated/portcullis/kms/v1/kms_node.ts"
import { WireFault } from "./wire.ts"

/** A request's facts: under 300 bytes and 34 for each handle. */
export const SHARE_REQUEST_BYTES_MAX = 512 + 40 * HANDLES_PER_REQUEST_MAX
/** 32 encrypted shares of 192 bytes, or anything smaller. */
export const ANSWER_BYTES_MAX = 512 + 200 * HANDLES_PER_REQUEST_MAX
/** A full batch of full requests: each handle brings its plaintext, its ciphertext and the seed. */
export const ATTEST_REQUEST_BYTES_MAX =
  RESPONSES_PER_ATTESTATION_MAX *
  (SHARE_REQUEST_BYTES_MAX + 128 + HANDLES_PER_REQUEST_MAX * (PUBLIC_PLAINTEXT_BYTES_MAX + PUBLIC_CIPHERTEXT_BYTES_MAX + 256))
/** A description names its epochs; a node that holds more than this many is not a node. */
export const DESCRIBE_BYTES_MAX = 1_024 + 5 * 32 * COMMITTEE_NODES_MAX

const guarded =
  <Message>(decode: (bytes: Buffer) => Message, bytesMax: number) =>
  (bytes: Buffer): Message | WireFault => {
    if (bytes.length > bytesMax) return new WireFault(`a message of ${bytes.length} bytes; at most ${bytesMax} are read`)
    try {
      return decode(bytes)
    } catch {
      return new WireFault("not a message of this protocol")
    }
  }

const { share, attest, describe } = KmsNodeService

/** What arrives may be a fault; what is sent is a message. */
export const kmsNodeService = {
  share: {
    ...share,
    requestDeserialize: guarded(share.requestDeserialize, SHARE_REQUEST_BYTES_MAX),
    responseDeserialize: guarded(share.responseDeserialize, ANSWER_BYTES_MAX)
  },
  attest: {
    ...attest,
    requestDeserialize: guarded(attest.requestDeserialize, ATTEST_REQUEST_BYTES_MAX),
    responseDeserialize: guarded(attest.responseDeserialize, ANSWER_BYTES_MAX)
  },
  describe: {
    ...describe,
    requestDeserialize: guarded(describe.requestDeserialize, SHARE_REQUEST_BYTES_MAX),
    responseDeserialize: guarded(describe.responseDeserialize, DESCRIBE_BYTES_MAX)
  }
} as const

/** A unary method whose requests were read through a guarded door. */
export type Guarded<Method> = Method extends {
  readonly requestSerialize: (value: infer Request) => Buffer
  readonly responseSerialize: (value: infer Response) => Buffer
}
  ? MethodDefinition<Request | WireFault, Response>
  : never
