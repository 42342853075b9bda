/**
 * Between protobuf messages and the domain's words. What comes in is foreign: fields of the wrong length, missing parts and
 * unknown kinds are answered with a sentence, never with an exception.
 */
import { toHex, fromHex } from "../../domain/hex.ts"
import type { DecryptionRequest, RequestKind } from "../../domain/request.ts"
import type { ShareAnswer } from "../../domain/share.ts"
import type { BroughtBatch, BroughtResult } from "../../kms-node/attest-results.ts"
import * as proto from "./generated/portcullis/kms/v1/kms_node.ts"

/** Why bytes from outside are no message of this protocol. */
export class WireFault {
  readonly fault: string
  constructor(fault: string) {
    this.fault = fault
  }
}

const KINDS: Readonly<Record<number, RequestKind>> = { [proto.RequestKind.PUBLIC]: "public", [proto.RequestKind.USER]: "user" }
const LARGEST_TIME = BigInt(Number.MAX_SAFE_INTEGER)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
const bytesOf = (hex: string): Buffer => asBuffer(fromHex(hex))

/** Chain ids of more than 64 bits do not exist in this protocol version; whoever asks checks `fitsWire` first. */
export const writeFacts = (request: DecryptionRequest): proto.RequestFacts => ({
  chainId: request.chainId,
  gateway: bytesOf(request.gateway),
  kind: request.kind === "public" ? proto.RequestKind.PUBLIC : proto.RequestKind.USER,
  requester: bytesOf(request.requester),
  account: bytesOf(request.account),
  epoch: request.epoch,
  deadline: BigInt(request.deadline),
  callbackGas: request.callbackGas,
  salt: bytesOf(request.salt),
  handles: request.handles.map(bytesOf),
  transportKey: bytesOf(request.transportKey)
})

export const fitsWire = (request: DecryptionRequest): boolean => request.chainId >= 0n && request.chainId < 1n << 64n

/** Only what a message can have wrong that a `DecryptionRequest` cannot; the lengths are checked with the rest of the form. */
export const readFacts = (facts: proto.RequestFacts | undefined): DecryptionRequest | WireFault => {
  if (facts === undefined) return new WireFault("no request")
  const kind = KINDS[facts.kind]
  if (kind === undefined) return new WireFault("unknown kind of request")
  if (facts.deadline > LARGEST_TIME) return new WireFault("the deadline is not a time")
  return {
    chainId: facts.chainId,
    gateway: toHex(facts.gateway),
    kind,
    requester: toHex(facts.requester),
    account: toHex(facts.account),
    epoch: facts.epoch,
    deadline: Number(facts.deadline),
    callbackGas: facts.callbackGas,
    salt: toHex(facts.salt),
    handles: facts.handles.map(toHex),
    transportKey: toHex(facts.transportKey)
  }
}

const readResult = (message: proto.Result): BroughtResult | WireFault => {
  const request = readFacts(message.request)
  return request instanceof WireFault ? request : { request, result: message.result, openings: message.openings }
}

export const readBatch = (message: proto.AttestRequest): BroughtBatch | WireFault => {
  if (message.expiry > LARGEST_TIME) return new WireFault("the expiry is not a time")
  const results: Array<BroughtResult> = []
  for (const one of message.results) {
    const read = readResult(one)
    if (read instanceof WireFault) return read
    results.push(read)
  }
  return { epoch: message.epoch, expiry: Number(message.expiry), results }
}

export const writeBatch = (batch: BroughtBatch): proto.AttestRequest => ({
  epoch: batch.epoch,
  expiry: BigInt(batch.expiry),
  results: batch.results.map(({ request, result, openings }) => ({
    request: writeFacts(request),
    result: asBuffer(result),
    openings: openings.map(({ ciphertext, sigma }) => ({ ciphertext: asBuffer(ciphertext), sigma: asBuffer(sigma) }))
  }))
})

export const writeAnswer = (answer: ShareAnswer): proto.ShareAnswer => ({
  requestId: bytesOf(answer.requestId),
  epoch: answer.epoch,
  nodeId: answer.nodeId,
  shares: answer.shares.map(asBuffer),
  signature: asBuffer(answer.signature)
})

/** Nothing about an answer is believed here. */
export const readAnswer = (message: proto.ShareAnswer): ShareAnswer => ({
  requestId: toHex(message.requestId),
  epoch: message.epoch,
  nodeId: message.nodeId,
  shares: message.shares.map((share) => new Uint8Array(share)),
  signature: new Uint8Array(message.signature)
})
