/**
 * The statuses of many requests at one block, in one `eth_call`: the contract has `statusOf` for one request, so a program of a few bytes
 * that lives only for the call asks it for each of them. Every client runs such calls (no `to`, the code as `data`); an endpoint that does
 * not only costs whoever asks a second question.
 */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { Bytes } from "./answers.ts"
import { gatewayInterface, type Inspection, statusFrom } from "./inspection.ts"
import { type BlockHeader, identical, type Rpc } from "./rpc.ts"

/** 8 KiB each way; clients allow 48 KiB of such a program and 24 KiB of its answer (EIP-3860, EIP-170). */
export const STATUSES_MAX = 256

const SELECTOR = gatewayInterface.getFunction("statusOf")!.selector.slice(2)
const WORD_DIGITS = 64
/** Bytes of the program, behind which the ids stand. */
const PROGRAM_BYTES = 91

/** Leaves at 0x40 the block's timestamp, and behind it one status for each id. Reverts where the contract answers anything but a word. */
const program = (gateway: Hex): string =>
  [
    "42604052", //                       mem[0x40] = timestamp
    `63${SELECTOR}60e01b600052`, //      mem[0] = the selector
    "605b", //                           p = 91, the first id
    "5b803814604e57", //            17:  until p is the end of the code
    "602081600439", //                   mem[4] = the id at p
    `60206005820160246000`, //           to mem[p + 5], which is 0x60 for the first
    `73${gateway.slice(2)}5afa`, //      statusOf(id)
    "3d602014161560565760200160", //     unless it answered one word, fail; p += 32
    "1156", //                           again
    "5b603b90036040f3", //          78:  return mem[0x40], the timestamp and the statuses
    "5b600080fd" //                 86:  fail
  ].join("")

export const encodeStatuses = (gateway: Hex, ids: ReadonlyArray<RequestId>): Hex =>
  `0x${program(gateway)}${ids.map((id) => id.slice(2)).join("")}`

/** The ids in it, for whoever has to answer. */
export const idsIn = (data: string): ReadonlyArray<RequestId> =>
  wordsOf(data.slice(2 + PROGRAM_BYTES * 2)).map((word): RequestId => `0x${word}`)

type Statuses = ReadonlyMap<RequestId, Inspection["status"]>

/** As many endpoints as have to agree; about this block and no other. */
export const statusesAt = (rpc: Rpc, gateway: Hex, ids: ReadonlyArray<RequestId>, at: BlockHeader): Effect.Effect<Statuses, ChainUnavailable> => {
  const question = [{ data: encodeStatuses(gateway, ids) }, { blockHash: at.hash }]
  const ask = Effect.flatMap(rpc.ask("eth_call", question, Bytes), (answer) =>
    Effect.try({
      try: () => statusesIn(answer, ids, at),
      catch: (cause) => new ChainUnavailable({ doing: "ask for many statuses: decode", cause })
    })
  )
  return rpc.agreed({ about: "access-list", ask, settle: identical })
}

const statusesIn = (answer: Hex, ids: ReadonlyArray<RequestId>, at: BlockHeader): Statuses => {
  const [timestamp, ...statuses] = wordsOf(answer.slice(2)).map((word) => Number(`0x${word}`))
  if (statuses.length !== ids.length) throw new TypeError("not one status for each request")
  // An endpoint that ignores `blockHash` answers about its newest block.
  if (timestamp !== at.timestamp) throw new TypeError(`an answer about another block than ${at.number}`)
  return new Map(ids.map((id, index) => [id, statusFrom(statuses[index])]))
}

const wordsOf = (digits: string): ReadonlyArray<string> =>
  Array.from({ length: Math.ceil(digits.length / WORD_DIGITS) }, (_, index) => digits.slice(index * WORD_DIGITS, (index + 1) * WORD_DIGITS))
