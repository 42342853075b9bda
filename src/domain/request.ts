/** What was asked, by whom, about what. Everything here is committed to by the request's id (protocol.md section 4). */
import { addressWord, bytes32Word, keccak, keccakText, uintWord } from "./abi-words.ts"
import type { Handle } from "./handle.ts"
import { fromHex, type Hex } from "./hex.ts"

export type RequestId = Hex

/** `public`: the plaintext goes on chain. `user`: an encrypted key that only the holder of the transport secret can open. */
export type RequestKind = "public" | "user"

export interface DecryptionRequest {
  readonly chainId: bigint
  /** Address of the DecryptionGateway contract that was asked. */
  readonly gateway: Hex
  readonly kind: RequestKind
  /** Who asked (msg.sender). */
  readonly requester: Hex
  /** Whose permission is used; the zero address for public requests. */
  readonly account: Hex
  /** The committee's epoch, pinned by the contract at request time. */
  readonly epoch: number
  /** Unix seconds. */
  readonly deadline: number
  readonly callbackGas: number
  readonly salt: Hex
  readonly handles: ReadonlyArray<Handle>
  /** Compressed G1 point for user requests, "0x" for public ones. */
  readonly transportKey: Hex
}

export const ZERO_ADDRESS: Hex = `0x${"00".repeat(20)}`

const TAG = keccakText("portcullis/native/v1/request")
export const KIND_NUMBER: Readonly<Record<RequestKind, number>> = { public: 1, user: 2 }

/** Depends on nothing that a reorganisation could change. */
export const requestIdOf = (request: DecryptionRequest): RequestId =>
  keccak(
    bytes32Word(TAG),
    uintWord(request.chainId),
    addressWord(request.gateway),
    uintWord(KIND_NUMBER[request.kind]),
    addressWord(request.requester),
    addressWord(request.account),
    uintWord(request.epoch),
    uintWord(request.deadline),
    uintWord(request.callbackGas),
    bytes32Word(keccak(...request.handles.map(fromHex))),
    bytes32Word(keccak(fromHex(request.transportKey))),
    bytes32Word(request.salt)
  )

/** Where on the chain a request stands at the moment. A reorganisation may move it. */
export interface Anchor {
  readonly blockNumber: number
  readonly blockHash: Hex
  readonly logIndex: number
}

/** Requests are spread over partitions by their id; each partition has one coordinator at a time. */
export const partitionOf = (id: RequestId, partitions: number): number => Number.parseInt(id.slice(2, 6), 16) % partitions
