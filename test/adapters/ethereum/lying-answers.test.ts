/**
 * An endpoint whose answers arrive and are wrong. What contradicts itself, the question or the chain's other answers is
 * `ChainUnavailable`; nothing is ever read as "none", "unknown" or zero only because it could not be read.
 */
import { Effect } from "effect"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { gatewayInterface } from "../../../src/adapters/ethereum/inspection.ts"
import { requestLogLayer } from "../../../src/adapters/ethereum/request-log.layer.ts"
import type { Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import { RequestLog } from "../../../src/journey/1-detected/request-log.port.ts"
import type { Fault } from "../../support/rpc-proxy.ts"
import { EthereumWorld } from "./ethereum-world.ts"
import { askAll, type Answers, hashOfAnother, only, questionsTo, stage, type Staged } from "./questions.ts"

interface RawLog {
  readonly topics: ReadonlyArray<string>
}
interface RawReceipt {
  readonly logs: ReadonlyArray<RawLog>
}
type RawBlock = Readonly<Record<string, string>>

const LIE = "ChainUnavailable"

let world: EthereumWorld
let staged: Staged
let rpc: Rpc
let honest: Answers

beforeAll(async () => {
  world = await EthereumWorld.start()
  staged = await stage(world)
  await world.pass(30)
  rpc = await world.rpc()
  honest = await askAll(await questionsTo(world, rpc, staged))
})
afterEach(() => world.proxy.misbehave())
afterAll(() => world.stop())

type Lies = Extract<Fault, { readonly type: "lies" }>["about"]

const told = async (about: Lies, ...names: ReadonlyArray<string>): Promise<Answers> => {
  const questions = await questionsTo(world, rpc, staged)
  world.proxy.misbehave({ type: "lies", about })
  return askAll(only(questions, ...names))
}

const withTopic = (logs: ReadonlyArray<RawLog>, index: number, topic: string) =>
  logs.map((log) => ({ ...log, topics: log.topics.with(index, topic) }))

describe("an endpoint's logs of a block", () => {
  const BLOCK = "a block of requests"

  test("are believed when they are what the receipts have, in whatever order they come", async () => {
    const answers = await told({ eth_getLogs: (logs: ReadonlyArray<RawLog>) => logs.toReversed() }, BLOCK)
    expect(answers).toEqual({ [BLOCK]: honest[BLOCK] })
    expect(honest[BLOCK]).toMatchObject({ requests: staged.twins.made })
  })

  test.each<[string, (logs: ReadonlyArray<RawLog>) => unknown]>([
    ["all left out", () => []],
    ["left out in part", (logs) => logs.slice(1)],
    ["told twice", (logs) => [...logs, ...logs]],
    ["of another block", (logs) => logs.map((log) => ({ ...log, blockHash: hashOfAnother(staged.open.block.blockHash) }))],
    ["of another contract", (logs) => logs.map((log) => ({ ...log, address: world.contracts.accessList }))],
    ["of another event", (logs) => withTopic(logs, 0, hashOfAnother(staged.open.id))],
    ["of another requester", (logs) => withTopic(logs, 2, `0x${"00".repeat(31)}01`)],
    ["without contents", (logs) => logs.map((log) => ({ ...log, data: "0x" }))],
    ["null", () => null]
  ])("are caught when they are %s", async (_how, change) => {
    expect(await told({ eth_getLogs: change as never }, BLOCK)).toEqual({ [BLOCK]: LIE })
  })

  test.each<[string, (receipts: ReadonlyArray<RawReceipt>) => unknown]>([
    ["null", () => null],
    ["none", () => []],
    ["in part", (receipts) => receipts.slice(1)],
    ["without their logs", (receipts) => receipts.map((receipt) => ({ ...receipt, logs: [] }))]
  ])("are not believed when its receipts are %s", async (_how, change) => {
    expect(await told({ eth_getBlockReceipts: change as never }, BLOCK)).toEqual({ [BLOCK]: LIE })
  })

  test("are caught when ids do not follow from the contents, though logs and receipts agree", async () => {
    const forged = (logs: ReadonlyArray<RawLog>) => withTopic(logs, 1, hashOfAnother(staged.open.id))
    const answers = await told(
      {
        eth_getLogs: forged,
        eth_getBlockReceipts: (receipts: ReadonlyArray<RawReceipt>) =>
          receipts.map((receipt) => ({ ...receipt, logs: forged(receipt.logs) }))
      },
      BLOCK
    )
    expect(answers).toEqual({ [BLOCK]: LIE })
  })

  test("are not asked for when the block's filter rules them out", async () => {
    const log = await world.open(RequestLog, requestLogLayer(rpc, world.contracts))
    world.proxy.asked.length = 0
    expect(await Effect.runPromise(log.readBlock(0))).toMatchObject({ number: 0, requests: [] })
    expect(world.proxy.asked).toEqual(["eth_getBlockByNumber"])
  })
})

describe("an endpoint's blocks", () => {
  test.each<[string, (block: RawBlock) => unknown]>([
    ["of another height", (block) => ({ ...block, number: "0x1" })],
    ["without a hash", (block) => ({ ...block, hash: undefined })],
    ["without a filter", (block) => ({ ...block, logsBloom: undefined })],
    ["with a filter that is too short", (block) => ({ ...block, logsBloom: "0x00" })],
    ["with a number that is no number", (block) => ({ ...block, number: "latest" })]
  ])("are caught when they are %s", async (_how, change) => {
    expect(await told({ eth_getBlockByNumber: change as never }, "a head", "a block of requests")).toEqual({
      "a head": LIE,
      "a block of requests": LIE
    })
  })

  test("asked for by hash and answered with another are caught", async () => {
    const { blockHash } = staged.open.block
    const lie = (block: RawBlock) => ({ ...block, hash: hashOfAnother(blockHash) })
    world.proxy.misbehave({ type: "lies", about: { eth_getBlockByHash: lie } })
    const answer = await Effect.runPromise(Effect.flip(rpc.block({ hash: blockHash })))
    expect(answer._tag).toBe(LIE)
  })
})

describe("an endpoint's word on the contracts' state", () => {
  test("is caught when it is about another block than the one that was named", async () => {
    // What an endpoint without EIP-1898 does: the answer is right, and of the newest block.
    const questions = await questionsTo(world, rpc, staged)
    const data = gatewayInterface.encodeFunctionData("inspect", [{ ...staged.open.facts, kind: 1 }])
    const atLatest = await world.world.chain.rpc("eth_call", { to: world.contracts.decryptionGateway, data }, "latest")
    const older = await world.world.chain.rpc("eth_getBlockByHash", staged.open.block.blockHash, false)
    world.proxy.misbehave({ type: "lies", about: { eth_getBlockByNumber: () => older, eth_call: () => atLatest } })
    expect(await askAll(only(questions, "the permission of a request"))).toEqual({ "the permission of a request": LIE })
  })

  test("is caught when it is about another request", async () => {
    const { facts } = staged.done
    const data = gatewayInterface.encodeFunctionData("inspect", [{ ...facts, kind: 1 }])
    const other = await world.world.chain.rpc("eth_call", { to: world.contracts.decryptionGateway, data }, "latest")
    expect(await told({ eth_call: () => other }, "the permission of a request")).toEqual({ "the permission of a request": LIE })
  })

  test.each(["0x", "0x00", `0x${"00".repeat(31)}07`])("is no status when it is %s", async (answer) => {
    expect(await told({ eth_call: () => answer }, "statuses")).toEqual({ statuses: LIE })
  })

  test("is no contract at all when it is empty everywhere, and no question takes that for a no", async () => {
    const names = ["the permission of a request", "a ciphertext's record", "a committee", "the current committee", "statuses"]
    const answers = await told({ eth_call: () => "0x" }, ...names)
    expect(answers).toEqual(Object.fromEntries(names.map((name) => [name, LIE])))
  })
})

describe("an endpoint that lags behind", () => {
  /** Its newest block is the one before `open`; with `hides`, it shows nothing above it either. */
  const lagging = async (hides: boolean): Promise<Lies> => {
    const { blockNumber } = staged.open.block
    const stale = await world.world.chain.rpc("eth_getBlockByNumber", `0x${(blockNumber - 1).toString(16)}`, false)
    return {
      eth_getBlockByNumber: (block: RawBlock, [at]: ReadonlyArray<string>) =>
        at === "latest" ? stale : hides && Number(at) >= blockNumber ? null : block
    }
  }

  test.each([true, false])("says that a block is pending, never that it is gone (hides what is above: %s)", async (hides) => {
    expect(await told(await lagging(hides), "the finality of a block")).toEqual({ "the finality of a block": "pending" })
  })

  test("says that a request is not known yet, never that it is denied", async () => {
    const answers = await told(await lagging(true), "the permission of a request")
    expect(answers).toMatchObject({ "the permission of a request": { type: "unknown" } })
  })

  test("has no block yet where others have one", async () => {
    expect(await told(await lagging(true), "a head")).toEqual({ "a head": undefined })
  })
})

describe("an endpoint's word on transactions", () => {
  test("is caught when the receipt or the fulfilment is another's", async () => {
    const another = hashOfAnother(staged.open.id)
    const names = ["whether a transaction was mined", "a fulfilment", "the permission of a fulfilled request"]
    const about: Lies = {
      eth_getTransactionReceipt: (receipt: object) => ({ ...receipt, transactionHash: another }),
      eth_getLogs: (logs: ReadonlyArray<RawLog>) => withTopic(logs, 1, another)
    }
    expect(await told(about, ...names)).toEqual(Object.fromEntries(names.map((name) => [name, LIE])))
  })

  test("is only an acceptance when it names the transaction", async () => {
    const answers = await told({ eth_sendRawTransaction: () => hashOfAnother(staged.open.id) }, "a broadcast")
    expect(answers).toEqual({ "a broadcast": LIE })
  })

  test("without a receipt is not yet mined, and that is all it is", async () => {
    expect(await told({ eth_getTransactionReceipt: () => null }, "whether a transaction was mined")).toEqual({
      "whether a transaction was mined": undefined
    })
  })
})

describe("an error that is no revert", () => {
  test.each([
    [-32_000, "header not found"],
    [-32_001, "Resource not found"],
    [-32_005, "limit exceeded"],
    [-32_603, "internal error"],
    [-32_000, "execution aborted (timeout = 5s)"]
  ])("%i %s is never taken for the contract's no", async (code, message) => {
    const questions = await questionsTo(world, rpc, staged)
    const names = ["a committee", "an estimate", "statuses", "a ciphertext's record", "the permission of a request"]
    world.proxy.misbehave({ type: "errs", at: ["eth_call", "eth_estimateGas"], with: { code, message } })
    expect(await askAll(only(questions, ...names))).toEqual(Object.fromEntries(names.map((name) => [name, LIE])))
  })

  test("a revert without data is one by its code", async () => {
    const questions = await questionsTo(world, rpc, staged)
    world.proxy.misbehave({ type: "errs", at: ["eth_estimateGas"], with: { code: 3, message: "execution reverted" } })
    expect(await askAll(only(questions, "an estimate"))).toEqual({ "an estimate": "SubmissionRejected" })
  })
})

const JUNK: ReadonlyArray<unknown> = [null, "0x", "hello", 5, -1, true, {}, [], [null], [{}], "0xzz"]

/** Legitimate absences, by the method that may say so. */
const mayBeAbsent: Readonly<Record<string, ReadonlyArray<string>>> = {
  "eth_getBlockByNumber null": ["a head", "a block of requests", "the finality of a block", "the finality of a result"],
  "eth_getTransactionReceipt null": ["whether a transaction was mined"],
  "eth_getLogs []": ["a fulfilment", "the permission of a fulfilled request"]
}

describe.each([
  "eth_getBlockByNumber",
  "eth_getLogs",
  "eth_getBlockReceipts",
  "eth_call",
  "eth_getTransactionCount",
  "eth_maxPriorityFeePerGas",
  "eth_estimateGas",
  "eth_sendRawTransaction",
  "eth_getTransactionReceipt"
])("whatever %s answers", (method) => {
  test.each(JUNK.map((junk) => [JSON.stringify(junk), junk] as const))(
    "%s is no answer to anything",
    async (_shown, junk) => {
      const questions = await questionsTo(world, rpc, staged)
      world.proxy.misbehave({ type: "lies", about: { [method]: () => junk } })
      const answers = await askAll(questions)
      const excused = mayBeAbsent[`${method} ${JSON.stringify(junk)}`] ?? []
      for (const [name, answer] of Object.entries(answers)) {
        if (answer !== LIE && !excused.includes(name)) expect({ [name]: answer }).toEqual({ [name]: honest[name] })
      }
      if (excused.length === 0) expect(Object.values(answers)).toContain(LIE)
    }
  )
})
